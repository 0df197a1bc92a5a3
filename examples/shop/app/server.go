package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/interlock-dev/interlock/examples/shop/store"
)

// Limits of what an order may hold. They are the same in every version, and narrower than any column.
const (
	maxBody       = 16 << 10
	maxCustomer   = 200
	maxQuantity   = 1_000_000
	maxTotalCents = 2_000_000_000
)

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// server answers requests from a store.
type server struct {
	orders  store.Store
	version string
	// leaving asks clients to take another connection.
	leaving atomic.Bool
}

func newServer(orders store.Store, version string) *server {
	return &server{orders: orders, version: version}
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", s.create)
	mux.HandleFunc("GET /orders", s.list)
	mux.HandleFunc("GET /orders/{id}", s.get)
	mux.HandleFunc("PATCH /orders/{id}", s.update)
	mux.HandleFunc("GET /customers/{customer}", s.sum)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET /readyz", s.ready)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Shop-Version", s.version)
		if s.leaving.Load() {
			w.Header().Set("Connection", "close")
		}
		ctx, cancel := context.WithTimeout(r.Context(), store.QueryTimeout)
		defer cancel()
		mux.ServeHTTP(w, r.WithContext(ctx))
	})
}

func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := s.orders.Ping(ctx); err != nil {
		http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (s *server) create(w http.ResponseWriter, r *http.Request) {
	var o store.Order
	if !decode(w, r, &o) {
		return
	}
	change := store.Change{Customer: &o.Customer, Quantity: &o.Quantity, TotalCents: &o.TotalCents}
	if err := check(o.ID, change); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	got, created, err := s.orders.Create(r.Context(), o)
	switch {
	case err != nil:
		fail(w, "create", err)
	case created:
		answer(w, http.StatusCreated, got)
	case got.Customer != o.Customer || got.Quantity != o.Quantity || got.TotalCents != o.TotalCents:
		http.Error(w, "an order with this id and other content is there already", http.StatusConflict)
	default:
		answer(w, http.StatusOK, got)
	}
}

func (s *server) get(w http.ResponseWriter, r *http.Request) {
	if err := check(r.PathValue("id"), store.Change{}); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	o, err := s.orders.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		fail(w, "get", err)
		return
	}
	answer(w, http.StatusOK, o)
}

func (s *server) list(w http.ResponseWriter, r *http.Request) {
	customer := r.URL.Query().Get("customer")
	if customer == "" {
		http.Error(w, "say whose orders: /orders?customer=…", http.StatusBadRequest)
		return
	}
	orders, err := s.orders.List(r.Context(), customer)
	if err != nil {
		fail(w, "list", err)
		return
	}
	answer(w, http.StatusOK, map[string]any{"orders": orders})
}

func (s *server) sum(w http.ResponseWriter, r *http.Request) {
	sum, err := s.orders.Sum(r.Context(), r.PathValue("customer"))
	if err != nil {
		fail(w, "sum", err)
		return
	}
	answer(w, http.StatusOK, sum)
}

func (s *server) update(w http.ResponseWriter, r *http.Request) {
	var c store.Change
	if !decode(w, r, &c) {
		return
	}
	if err := check(r.PathValue("id"), c); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	o, err := s.orders.Update(r.Context(), r.PathValue("id"), c)
	if err != nil {
		fail(w, "update", err)
		return
	}
	answer(w, http.StatusOK, o)
}

// check says what is wrong with an order's id or with a change of it.
func check(id string, c store.Change) error {
	if !uuid.MatchString(id) {
		return errors.New("id must be a UUID in lower case")
	}
	if c.Customer != nil && (*c.Customer == "" || len(*c.Customer) > maxCustomer) {
		return fmt.Errorf("customer must have 1 to %d bytes", maxCustomer)
	}
	if c.Quantity != nil && (*c.Quantity < 1 || *c.Quantity > maxQuantity) {
		return fmt.Errorf("quantity must be 1 to %d", maxQuantity)
	}
	if c.TotalCents != nil && (*c.TotalCents < 0 || *c.TotalCents > maxTotalCents) {
		return fmt.Errorf("totalCents must be 0 to %d", maxTotalCents)
	}
	if c.Status != nil && *c.Status != "new" && *c.Status != "paid" && *c.Status != "shipped" {
		return errors.New("status must be new, paid or shipped")
	}
	return nil
}

func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	if err := d.Decode(into); err != nil {
		http.Error(w, "the body is not the JSON of an order", http.StatusBadRequest)
		return false
	}
	return true
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		log.Printf("answer: %v", err)
	}
}

// fail answers an error of the store. What the database says goes to the log, not to the client.
func fail(w http.ResponseWriter, what string, err error) {
	if errors.Is(err, store.ErrNotFound) {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	log.Printf("%s: %v", what, err)
	http.Error(w, "the database did not do it; see the log of this pod", http.StatusInternalServerError)
}
