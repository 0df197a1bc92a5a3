package load

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Order is an order as every version of the shop must show it.
type Order struct {
	ID         string `json:"id"`
	Customer   string `json:"customer"`
	Quantity   int64  `json:"quantity"`
	TotalCents int64  `json:"totalCents"`
	Status     string `json:"status"`
}

// record is what the load knows about one order.
type record struct {
	// now is its last acknowledged state.
	now Order
	// maybe is what a write without a clear answer may have made of it, nil when there was none.
	maybe *Order
	// maybeAbsent: it was created without a clear answer.
	maybeAbsent bool
}

// customer is a set of orders that only one request at a time touches, so every answer about them is known
// beforehand. Its orders go by one of two names, between which updates move them.
type customer struct {
	names  [2]string
	orders []*record
}

// under lists the orders that go by a name, the oldest first.
func (c *customer) under(name string) []Order {
	var found []Order
	for _, r := range c.orders {
		if r.now.Customer == name {
			found = append(found, r.now)
		}
	}
	return found
}

// maxOrders keeps lists short.
const maxOrders = 30

// model is everything that the load knows. It is not safe for concurrent use.
type model struct {
	run     string
	rng     *rand.Rand
	seeded  int // rows of SeedSQL
	adopted map[int]bool
	idle    []*customer
	started int
	// records is every order that the load ever touched, by ID.
	records map[string]*record
}

func newModel(run string, seeded int, seed uint64) *model {
	return &model{
		run: run, seeded: seeded, rng: rand.New(rand.NewPCG(seed, 1)),
		adopted: map[int]bool{}, records: map[string]*record{},
	}
}

// take hands out a customer that nobody uses, the one idle for longest. Some have rows from before the load.
func (m *model) take() *customer {
	// A few customers more than requests under way, so that they get several orders each, and age.
	if len(m.idle) < 40 {
		return m.start()
	}
	c := m.idle[0]
	m.idle = slices.Delete(m.idle, 0, 1)
	return c
}

// giveBack makes a customer available again. One with an unclear order is not given back.
func (m *model) giveBack(c *customer) {
	if len(c.orders) > maxOrders {
		return
	}
	m.idle = append(m.idle, c)
}

func (m *model) start() *customer {
	m.started++
	if k := m.rng.IntN(max(m.seeded/ordersPerSeed, 1)); m.seeded >= ordersPerSeed && m.rng.IntN(2) == 0 && !m.adopted[k] {
		return m.adopt(k)
	}
	name := fmt.Sprintf("%s-%d", m.run, m.started)
	return &customer{names: [2]string{name, name + "-also"}}
}

func (m *model) adopt(k int) *customer {
	m.adopted[k] = true
	name := seededCustomer(k)
	c := &customer{names: [2]string{name, m.run + "-" + name}}
	for n := k * ordersPerSeed; n < (k+1)*ordersPerSeed; n++ {
		r := &record{now: seededOrder(n)}
		c.orders = append(c.orders, r)
		m.records[r.now.ID] = r
	}
	return c
}

// newOrder makes up an order that is not there yet.
func (m *model) newOrder(c *customer) Order {
	return Order{
		ID: fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", m.rng.Uint32(), m.rng.Uint32N(1<<16), m.rng.Uint32N(1<<12),
			m.rng.Uint32N(1<<12), m.rng.Uint64N(1<<48)),
		Customer:   c.names[m.rng.IntN(2)],
		Quantity:   1 + m.rng.Int64N(100),
		TotalCents: m.rng.Int64N(2_000_000_000),
		Status:     "new",
	}
}

// changed makes up the next state of an order.
func (m *model) changed(c *customer, o Order) Order {
	switch m.rng.IntN(4) {
	case 0:
		o.Customer = c.names[m.rng.IntN(2)]
	case 1:
		o.Quantity = 1 + m.rng.Int64N(100)
	case 2:
		o.TotalCents = m.rng.Int64N(2_000_000_000)
	case 3:
		o.Status = []string{"new", "paid", "shipped"}[m.rng.IntN(3)]
	}
	return o
}
