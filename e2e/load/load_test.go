package load

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeShop keeps orders in memory and can be made to misbehave.
type fakeShop struct {
	mu      sync.Mutex
	orders  []Order
	spoil   func(op string, w http.ResponseWriter) bool // true: it answered already
	stalled time.Time                                   // until then nothing is answered
}

func newFakeShop(seeded int) *fakeShop {
	f := &fakeShop{}
	for n := range seeded {
		f.orders = append(f.orders, seededOrder(n))
	}
	return f
}

func (f *fakeShop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	stalled := f.stalled
	f.mu.Unlock()
	time.Sleep(time.Until(stalled))
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Header().Set("Shop-Version", "fake")
	if f.spoil != nil && f.spoil(r.Method, w) {
		return
	}
	id, isOrder := strings.CutPrefix(r.URL.Path, "/orders/")
	name, isCustomer := strings.CutPrefix(r.URL.Path, "/customers/")
	at := slices.IndexFunc(f.orders, func(o Order) bool { return o.ID == id })
	var body any
	switch {
	case r.Method == http.MethodPost:
		var o Order
		_ = json.NewDecoder(r.Body).Decode(&o)
		f.orders = append(f.orders, o)
		w.WriteHeader(http.StatusCreated)
		body = o
	case r.Method == http.MethodPatch && at >= 0:
		_ = json.NewDecoder(r.Body).Decode(&f.orders[at])
		body = f.orders[at]
	case isOrder && at >= 0:
		body = f.orders[at]
	case isCustomer:
		t := totals{Customer: name}
		for _, o := range f.orders {
			if o.Customer == name {
				t = totals{name, t.Orders + 1, t.Quantity + o.Quantity, t.TotalCents + o.TotalCents}
			}
		}
		body = t
	default:
		found := []Order{}
		for _, o := range f.orders {
			if o.Customer == r.URL.Query().Get("customer") {
				found = append(found, o)
			}
		}
		body = map[string]any{"orders": found, "more": "a field of a later version"}
	}
	_ = json.NewEncoder(w).Encode(body)
}

func run(t *testing.T, shop *fakeShop, seeded int, rate float64, d time.Duration) (*Load, Report) {
	t.Helper()
	srv := httptest.NewServer(shop)
	t.Cleanup(srv.Close)
	l := Start(t.Context(), Config{URL: srv.URL, Rate: rate, Timeout: 5 * time.Second, Run: "test", Seeded: seeded})
	time.Sleep(d)
	return l, l.Stop()
}

func (l *Load) compareWith(orders []Order) Verdict {
	c := newComparison(l.model)
	for _, o := range orders {
		c.add(row{shapes: []Order{o}})
	}
	return c.verdict()
}

func TestHonestShop(t *testing.T) {
	shop := newFakeShop(400)
	l, r := run(t, shop, 400, 300, 2*time.Second)
	if r.Failed != 0 || r.Requests < 500 || r.Requests > 700 {
		t.Errorf("requests %d, failed %d %v; want about 600 and none", r.Requests, r.Failed, r.Failures)
	}
	if r.ByVersion["fake"] != r.Requests {
		t.Errorf("versions %v; want every answer counted", r.ByVersion)
	}
	if v := l.compareWith(shop.orders); v.Bad() != 0 || v.Rows < 450 {
		t.Errorf("verdict %+v; want nothing bad in the seeded rows and the created ones", v)
	}
}

// A server that stalls for a second makes every request that was due in that second late, not only the ones that
// happened to be under way: otherwise the load would wait together with the server and measure almost nothing.
func TestLatencyCountsFromWhenARequestWasDue(t *testing.T) {
	shop := newFakeShop(0)
	go func() {
		time.Sleep(500 * time.Millisecond)
		shop.mu.Lock()
		shop.stalled = time.Now().Add(time.Second)
		shop.mu.Unlock()
	}()
	l, r := run(t, shop, 0, 200, 2*time.Second)
	late := 0
	for _, latency := range l.stats.latencies {
		if latency > 300*time.Millisecond {
			late++
		}
	}
	// 200 requests were due in the stall, the first 70 % of them are answered more than 300 ms late.
	if late < 120 {
		t.Errorf("%d requests were more than 300 ms late, want 140 or more of %d", late, r.Requests)
	}
	if r.Failed != 0 || r.Max < 900*time.Millisecond || r.P99 < 900*time.Millisecond {
		t.Errorf("failed %d, p50 %s, p99 %s, max %s; want p99 and max near one second", r.Failed, r.P50, r.P99, r.Max)
	}
}

// When this side is late, that is latency too.
func TestStatsCountFromDue(t *testing.T) {
	start := time.Now()
	s := newStats(start)
	for i := range 100 {
		due := start.Add(time.Duration(i) * 10 * time.Millisecond)
		s.add(due, start.Add(time.Second), "1", nil) // all answered at the end of the second
	}
	s.add(start.Add(1500*time.Millisecond), start.Add(1600*time.Millisecond), "", &Failure{Kind: "timeout"})
	r := s.report()
	if r.Max != time.Second || r.P99 != 990*time.Millisecond || r.P50 != 500*time.Millisecond {
		t.Errorf("p50 %s p99 %s max %s; want 500ms 990ms 1s", r.P50, r.P99, r.Max)
	}
	if want := []Second{{100, 0}, {1, 1}}; !slices.Equal(r.Seconds, want) {
		t.Errorf("seconds %v, want %v", r.Seconds, want)
	}
	if from, to, any := r.Outage(); !any || from != time.Second || to != 2*time.Second {
		t.Errorf("outage %s to %s (%t); want 1s to 2s", from, to, any)
	}
}

func TestMisbehaviourIsSeen(t *testing.T) {
	for _, tc := range []struct {
		name     string
		spoil    func(op string, w http.ResponseWriter) bool
		wantKind string
	}{
		{"error", func(op string, w http.ResponseWriter) bool { w.WriteHeader(500); return true }, "status 500"},
		{"connection cut", func(op string, w http.ResponseWriter) bool { panic(http.ErrAbortHandler) }, "transport"},
		{"lie", func(op string, w http.ResponseWriter) bool {
			if op == http.MethodPost {
				w.WriteHeader(http.StatusCreated)
			}
			_, _ = w.Write([]byte(`{"id":"somebody else's"}`))
			return true
		}, "wrong answer"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			shop := newFakeShop(100)
			shop.spoil = tc.spoil
			l, r := run(t, shop, 100, 200, 300*time.Millisecond)
			if r.Failed != r.Requests || r.ByKind[tc.wantKind] == 0 || len(r.Failures) != r.Failed {
				t.Errorf("%d of %d failed, by kind %v; want all, some of kind %q", r.Failed, r.Requests, r.ByKind, tc.wantKind)
			}
			if v := l.compareWith(shop.orders); v.Bad() != 0 {
				t.Errorf("verdict %+v; nothing was acknowledged, so nothing can be lost", v)
			}
		})
	}
}

func TestComparison(t *testing.T) {
	written := Order{ID: "a", Customer: "x", Quantity: 1, TotalCents: 2, Status: "new"}
	changed := written
	changed.Status = "paid"
	seeded := seededOrder(0)
	other := Order{ID: "b", Customer: "y"}
	one := func(orders ...Order) []row {
		var rows []row
		for _, o := range orders {
			rows = append(rows, row{shapes: []Order{o}})
		}
		return rows
	}
	for _, tc := range []struct {
		name    string
		records map[string]*record
		rows    []row
		want    Verdict
	}{
		{"as acknowledged", map[string]*record{"a": {now: written}}, one(seeded, written), Verdict{Rows: 2}},
		{"both shapes", map[string]*record{"a": {now: written}}, []row{{[]Order{seeded, seeded}}, {[]Order{written, written}}}, Verdict{Rows: 2}},
		{"gone", map[string]*record{"a": {now: written}}, one(seeded), Verdict{Rows: 1, Lost: 1}},
		{"seeded gone", nil, nil, Verdict{Lost: 1}},
		{"old state", map[string]*record{"a": {now: changed}}, one(seeded, written), Verdict{Rows: 2, Wrong: 1}},
		{"seeded changed", nil, one(Order{ID: seeded.ID}), Verdict{Rows: 1, Wrong: 1}},
		{"unclear update done", map[string]*record{"a": {now: written, maybe: &changed}}, one(seeded, changed), Verdict{Rows: 2}},
		{"unclear update not done", map[string]*record{"a": {now: written, maybe: &changed}}, one(seeded, written), Verdict{Rows: 2}},
		{"unclear update half done", map[string]*record{"a": {now: written, maybe: &changed}}, []row{{[]Order{seeded}}, {[]Order{written, changed}}}, Verdict{Rows: 2, Wrong: 1}},
		{"unclear create not done", map[string]*record{"a": {now: written, maybeAbsent: true}}, one(seeded), Verdict{Rows: 1}},
		{"unclear create done", map[string]*record{"a": {now: written, maybeAbsent: true}}, one(seeded, written), Verdict{Rows: 2}},
		{"shapes differ", map[string]*record{"a": {now: written}}, []row{{[]Order{seeded}}, {[]Order{written, changed}}}, Verdict{Rows: 2, Wrong: 1}},
		{"twice", nil, one(seeded, seeded), Verdict{Rows: 2, Duplicated: 1}},
		{"from nowhere", nil, one(seeded, other), Verdict{Rows: 2, Duplicated: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newModel("test", 1, 1)
			if tc.records != nil {
				m.records = tc.records
			}
			c := newComparison(m)
			for _, r := range tc.rows {
				c.add(r)
			}
			got := c.verdict()
			examples := len(got.Examples)
			got.Examples = nil
			if got.Rows != tc.want.Rows || got.Lost != tc.want.Lost || got.Wrong != tc.want.Wrong || got.Duplicated != tc.want.Duplicated {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
			if examples != got.Bad() {
				t.Errorf("%d examples for %d bad rows", examples, got.Bad())
			}
		})
	}
}

func TestQuantile(t *testing.T) {
	for _, tc := range []struct {
		values []time.Duration
		q      float64
		want   time.Duration
	}{
		{nil, 0.5, 0},
		{[]time.Duration{7}, 0.5, 7},
		{[]time.Duration{7}, 0.99, 7},
		{[]time.Duration{1, 2, 3, 4}, 0.5, 2},
		{[]time.Duration{1, 2, 3, 4}, 0.51, 3},
		{[]time.Duration{1, 2, 3, 4}, 1, 4},
	} {
		if got := quantile(tc.values, tc.q); got != tc.want {
			t.Errorf("quantile(%v, %v) = %v, want %v", tc.values, tc.q, got, tc.want)
		}
	}
}
