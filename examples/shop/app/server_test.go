package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/interlock-dev/interlock/examples/shop/store"
)

const someID = "00000000-0000-4000-8000-000000000001"

// memory keeps one order; err is what the database answers to everything.
type memory struct {
	order *store.Order
	err   error
}

func (m *memory) Create(_ context.Context, o store.Order) (store.Order, bool, error) {
	if m.order != nil {
		return *m.order, false, m.err
	}
	o.Status = "new"
	m.order = &o
	return o, m.err == nil, m.err
}

func (m *memory) Get(context.Context, string) (store.Order, error) {
	if m.order == nil {
		return store.Order{}, store.ErrNotFound
	}
	return *m.order, m.err
}

func (m *memory) List(context.Context, string) ([]store.Order, error) {
	return []store.Order{}, m.err
}

func (m *memory) Sum(_ context.Context, customer string) (store.Summary, error) {
	return store.Summary{Customer: customer}, m.err
}

func (m *memory) Update(_ context.Context, _ string, c store.Change) (store.Order, error) {
	if c.Status != nil {
		m.order.Status = *c.Status
	}
	return *m.order, m.err
}

func (m *memory) Ping(context.Context) error { return m.err }

func TestServer(t *testing.T) {
	order := `{"id":"` + someID + `","customer":"a","quantity":1,"totalCents":5}`
	there := store.Order{ID: someID, Customer: "a", Quantity: 1, TotalCents: 5, Status: "new"}
	broken := errors.New("password of the database: secret")
	for _, tc := range []struct {
		name, method, path, body string
		order                    *store.Order
		err                      error
		wantStatus               int
		wantBody                 string
	}{
		{"create", "POST", "/orders", order, nil, nil, 201, `"status":"new"`},
		{"create again", "POST", "/orders", order, &there, nil, 200, `"status":"new"`},
		{"create another with the same id", "POST", "/orders", strings.Replace(order, "5}", "6}", 1), &there, nil, 409, "other content"},
		{"create without an id", "POST", "/orders", `{"customer":"a","quantity":1}`, nil, nil, 400, "UUID"},
		{"create without a customer", "POST", "/orders", `{"id":"` + someID + `","quantity":1}`, nil, nil, 400, "customer"},
		{"create too many", "POST", "/orders", strings.Replace(order, `"quantity":1`, `"quantity":1000001`, 1), nil, nil, 400, "quantity"},
		{"create too expensive", "POST", "/orders", strings.Replace(order, "5}", "2000000001}", 1), nil, nil, 400, "totalCents"},
		{"create something else", "POST", "/orders", `[`, nil, nil, 400, "JSON"},
		{"create too much", "POST", "/orders", `{"customer":"` + strings.Repeat("a", maxBody) + `"}`, nil, nil, 400, "JSON"},
		{"get", "GET", "/orders/" + someID, "", &there, nil, 200, someID},
		{"get none", "GET", "/orders/" + someID, "", nil, nil, 404, "no such order"},
		{"get nonsense", "GET", "/orders/1", "", nil, nil, 400, "UUID"},
		{"update", "PATCH", "/orders/" + someID, `{"status":"paid"}`, &there, nil, 200, `"status":"paid"`},
		{"update to nonsense", "PATCH", "/orders/" + someID, `{"status":"eaten"}`, &there, nil, 400, "status"},
		{"list", "GET", "/orders?customer=a", "", nil, nil, 200, `"orders":[]`},
		{"list of nobody", "GET", "/orders", "", nil, nil, 400, "customer"},
		{"sum", "GET", "/customers/a", "", nil, nil, 200, `"customer":"a"`},
		{"database error", "GET", "/orders?customer=a", "", nil, broken, 500, "see the log"},
		{"ready", "GET", "/readyz", "", nil, nil, 200, ""},
		{"not ready", "GET", "/readyz", "", nil, broken, 503, "does not answer"},
		{"alive without a database", "GET", "/healthz", "", nil, broken, 200, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := &memory{err: tc.err}
			if tc.order != nil {
				o := *tc.order
				m.order = &o
			}
			w := httptest.NewRecorder()
			newServer(m, "7").handler().ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, strings.NewReader(tc.body)))
			if w.Code != tc.wantStatus || !strings.Contains(w.Body.String(), tc.wantBody) {
				t.Errorf("%d %q; want %d with %q", w.Code, w.Body, tc.wantStatus, tc.wantBody)
			}
			if strings.Contains(w.Body.String(), "secret") {
				t.Errorf("the answer tells what the database said: %q", w.Body)
			}
			if w.Header().Get("Shop-Version") != "7" {
				t.Errorf("version %q, want 7", w.Header().Get("Shop-Version"))
			}
		})
	}
}

// A server that leaves answers, and asks clients to take another connection.
func TestLeavingServerStillAnswers(t *testing.T) {
	s := newServer(&memory{order: &store.Order{ID: someID}}, "1")
	srv := httptest.NewServer(s.handler())
	defer srv.Close()
	for _, leaving := range []bool{false, true} {
		s.leaving.Store(leaving)
		res, err := http.Get(srv.URL + "/orders/" + someID)
		if err != nil {
			t.Fatal(err)
		}
		var o store.Order
		err = json.NewDecoder(res.Body).Decode(&o)
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if err != nil || o.ID != someID || res.Close != leaving {
			t.Errorf("leaving %t: order %+v, %v, connection closes %t", leaving, o, err, res.Close)
		}
	}
}
