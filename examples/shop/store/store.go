package store

import (
	"context"
	"errors"
	"time"
)

// Order is what the shop keeps of an order, in terms that no schema change touches.
type Order struct {
	// ID is a UUID that the client chose; it makes creating an order repeatable.
	ID string `json:"id"`
	// Customer who ordered.
	Customer string `json:"customer"`
	// Quantity ordered, at least 1.
	Quantity int64 `json:"quantity"`
	// TotalCents is the price of the whole order, in hundredths of the currency.
	TotalCents int64 `json:"totalCents"`
	// Status: new, paid or shipped.
	Status string `json:"status"`
	// Currency is an ISO 4217 code; empty where the store does not know currencies.
	Currency string `json:"currency,omitempty"`
}

// Change says what to change of an order; nil leaves a field alone.
type Change struct {
	Customer   *string `json:"customer"`
	Quantity   *int64  `json:"quantity"`
	TotalCents *int64  `json:"totalCents"`
	Status     *string `json:"status"`
}

// Summary adds up the orders of one customer.
type Summary struct {
	Customer   string `json:"customer"`
	Orders     int64  `json:"orders"`
	Quantity   int64  `json:"quantity"`
	TotalCents int64  `json:"totalCents"`
}

// ErrNotFound says that there is no such order.
var ErrNotFound = errors.New("no such order")

// MaxList is the number of orders that List returns at most.
const MaxList = 100

// Store keeps orders. Every version of the shop has one that speaks its own schema.
type Store interface {
	// Create keeps an order. When an order with this ID is there already it returns that one, and false.
	Create(ctx context.Context, o Order) (Order, bool, error)
	// Get returns an order, or ErrNotFound.
	Get(ctx context.Context, id string) (Order, error)
	// List returns the orders of a customer, the oldest first, at most MaxList.
	List(ctx context.Context, customer string) ([]Order, error)
	// Sum adds up the orders of a customer.
	Sum(ctx context.Context, customer string) (Summary, error)
	// Update changes an order and returns it, or ErrNotFound.
	Update(ctx context.Context, id string, c Change) (Order, error)
	// Ping says within the deadline of ctx whether the database answers.
	Ping(ctx context.Context) error
}

// QueryTimeout is how long one statement may take.
const QueryTimeout = 8 * time.Second
