package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// request is one request with the answer it must get, and what that answer does to the model.
type request struct {
	op     string
	method string
	path   string
	body   []byte
	// wantStatus and check say what the answer must be.
	wantStatus int
	check      func(body []byte) error
	// acknowledged is called under the model's lock when the answer was right; unclear when it was not.
	acknowledged func()
	unclear      func()
}

// next makes up a request for a customer.
func (m *model) next(c *customer) request {
	roll := m.rng.IntN(100)
	switch {
	case len(c.orders) == 0 || roll < 25:
		return m.create(c)
	case roll < 55:
		return get(c.orders[m.rng.IntN(len(c.orders))].now)
	case roll < 80:
		return m.update(c)
	case roll < 90:
		return list(c, c.names[m.rng.IntN(2)])
	default:
		return sum(c, c.names[m.rng.IntN(2)])
	}
}

func (m *model) create(c *customer) request {
	o := m.newOrder(c)
	r := &record{now: o}
	return request{
		op: "create", method: http.MethodPost, path: "/orders", body: mustJSON(o),
		wantStatus: http.StatusCreated, check: isOrder(o),
		acknowledged: func() {
			c.orders = append(c.orders, r)
			m.records[o.ID] = r
		},
		unclear: func() {
			r.maybeAbsent = true
			m.records[o.ID] = r
		},
	}
}

func get(o Order) request {
	return request{op: "get", method: http.MethodGet, path: "/orders/" + o.ID, wantStatus: http.StatusOK, check: isOrder(o)}
}

func (m *model) update(c *customer) request {
	r := c.orders[m.rng.IntN(len(c.orders))]
	o := m.changed(c, r.now)
	change := map[string]any{}
	if o.Customer != r.now.Customer {
		change["customer"] = o.Customer
	}
	if o.Quantity != r.now.Quantity {
		change["quantity"] = o.Quantity
	}
	if o.TotalCents != r.now.TotalCents {
		change["totalCents"] = o.TotalCents
	}
	if o.Status != r.now.Status {
		change["status"] = o.Status
	}
	return request{
		op: "update", method: http.MethodPatch, path: "/orders/" + o.ID, body: mustJSON(change),
		wantStatus: http.StatusOK, check: isOrder(o),
		acknowledged: func() { r.now = o },
		unclear:      func() { r.maybe = &o },
	}
}

func list(c *customer, name string) request {
	want := c.under(name)
	return request{
		op: "list", method: http.MethodGet, path: "/orders?customer=" + url.QueryEscape(name), wantStatus: http.StatusOK,
		check: func(body []byte) error {
			var got struct {
				Orders []Order `json:"orders"`
			}
			if err := json.Unmarshal(body, &got); err != nil {
				return err
			}
			if got.Orders == nil || !slices.Equal(got.Orders, want) {
				return fmt.Errorf("listed %d orders %+v, want %d %+v", len(got.Orders), got.Orders, len(want), want)
			}
			return nil
		},
	}
}

// totals is the answer to GET /customers/NAME.
type totals struct {
	Customer   string `json:"customer"`
	Orders     int64  `json:"orders"`
	Quantity   int64  `json:"quantity"`
	TotalCents int64  `json:"totalCents"`
}

func sum(c *customer, name string) request {
	want := totals{Customer: name}
	for _, o := range c.under(name) {
		want.Orders++
		want.Quantity += o.Quantity
		want.TotalCents += o.TotalCents
	}
	return request{
		op: "sum", method: http.MethodGet, path: "/customers/" + url.PathEscape(name), wantStatus: http.StatusOK,
		check: func(body []byte) error { return same(body, want) },
	}
}

func isOrder(want Order) func([]byte) error {
	return func(body []byte) error { return same(body, want) }
}

// same ignores fields that it does not know: a later version may add some.
func same[T comparable](body []byte, want T) error {
	var got T
	if err := json.Unmarshal(body, &got); err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("got %+v, want %+v", got, want)
	}
	return nil
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain structs and maps
	}
	return bytes.TrimSpace(b)
}
