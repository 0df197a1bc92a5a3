package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// Config of a load.
type Config struct {
	// URL of the shop, for example https://shop.example.test. Its host is what TLS must prove.
	URL string
	// Addr is where to connect to, host:port, whatever URL says; empty: where URL says.
	Addr string
	// Roots are the authorities to trust; nil: those of this machine.
	Roots *x509.CertPool
	// Rate in requests per second.
	Rate float64
	// Timeout of one request, from its start.
	Timeout time.Duration
	// Run names the customers of this load; no other load on the same database has the same.
	Run string
	// Seeded is the number of rows that SeedSQL made.
	Seeded int
	// After is a load on the same database that was stopped; this one goes on with what that one knows.
	After *Load
}

// maxBody is the longest answer that is read.
const maxBody = 1 << 20

// Load is a running load.
type Load struct {
	config Config
	client *http.Client
	stop   context.CancelFunc
	ended  chan struct{}

	mu    sync.Mutex
	model *model
	stats *stats
}

// Start sends requests until Stop is called or ctx ends.
func Start(ctx context.Context, c Config) *Load {
	ctx, stop := context.WithCancel(ctx)
	started := time.Now()
	l := &Load{
		config: c, client: client(c), stop: stop, ended: make(chan struct{}),
		model: newModel(c.Run, c.Seeded, uint64(started.UnixNano())), stats: newStats(started),
	}
	if c.After != nil {
		l.model = c.After.model
		l.model.run = c.Run
	}
	go l.run(ctx, started)
	return l
}

// Counts is what happened so far, without latencies.
func (l *Load) Counts() Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats.counts()
}

// Report is what happened so far.
func (l *Load) Report() Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats.report()
}

// Stop sends no more requests, waits for those under way, and reports.
func (l *Load) Stop() Report {
	l.stop()
	<-l.ended
	l.client.CloseIdleConnections()
	return l.Report()
}

// Probe sends one request that changes nothing, and says what is wrong with the answer.
func Probe(ctx context.Context, url, addr string, roots *x509.CertPool) error {
	l := &Load{config: Config{URL: url, Addr: addr, Roots: roots, Timeout: 5 * time.Second}}
	l.client = client(l.config)
	defer l.client.CloseIdleConnections()
	_, failure := l.send(ctx, sum(&customer{}, "nobody"))
	if failure != nil {
		return fmt.Errorf("%s: %s", failure.Kind, failure.Detail)
	}
	return nil
}

// run starts each request when it is due. When this machine is late, the request is late, and counted so.
func (l *Load) run(ctx context.Context, started time.Time) {
	defer close(l.ended)
	var underWay sync.WaitGroup
	defer underWay.Wait()
	interval := time.Duration(float64(time.Second) / l.config.Rate)
	for i := 0; ; i++ {
		due := started.Add(time.Duration(i) * interval)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(due)):
		}
		if ctx.Err() != nil {
			return
		}
		underWay.Go(func() { l.one(due) })
	}
}

// one sends a request and takes in the answer. It outlives the end of the load: what was started is finished.
func (l *Load) one(due time.Time) {
	l.mu.Lock()
	c := l.model.take()
	r := l.model.next(c)
	l.mu.Unlock()

	version, failure := l.send(context.Background(), r)
	done := time.Now()

	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.add(due, done, version, failure)
	switch {
	case failure == nil:
		if r.acknowledged != nil {
			r.acknowledged()
		}
		l.model.giveBack(c)
	case r.unclear != nil:
		r.unclear()
	default:
		// A read that failed says nothing about the orders.
		l.model.giveBack(c)
	}
}

func (l *Load) send(ctx context.Context, r request) (version string, failure *Failure) {
	ctx, cancel := context.WithTimeout(ctx, l.config.Timeout)
	defer cancel()
	var connections atomic.Int32
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connections.Add(1) }})
	// Without GetBody net/http can not send a body a second time by itself.
	req, err := http.NewRequestWithContext(ctx, r.method, l.config.URL+r.path, io.NopCloser(bytes.NewReader(r.body)))
	if err != nil {
		return "", &Failure{Op: r.op, Kind: "transport", Detail: err.Error()}
	}
	req.ContentLength = int64(len(r.body))
	if len(r.body) == 0 {
		req.Body = http.NoBody
	}
	res, err := l.client.Do(req)
	if err != nil {
		return "", broken(r.op, err)
	}
	defer func() { _ = res.Body.Close() }()
	version = res.Header.Get("Shop-Version")
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	switch {
	case err != nil:
		return version, broken(r.op, err)
	case connections.Load() > 1:
		return version, &Failure{Op: r.op, Kind: "retried", Detail: "the connection broke and the transport sent the request again"}
	case res.StatusCode != r.wantStatus:
		return version, &Failure{Op: r.op, Kind: fmt.Sprintf("status %d", res.StatusCode), Detail: string(body)}
	}
	if err := r.check(body); err != nil {
		return version, &Failure{Op: r.op, Kind: "wrong answer", Detail: err.Error()}
	}
	return version, nil
}

func broken(op string, err error) *Failure {
	kind := "transport"
	var netErr net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout() {
		kind = "timeout"
	}
	return &Failure{Op: op, Kind: kind, Detail: err.Error()}
}

func client(c Config) *http.Client {
	dialer := &net.Dialer{Timeout: c.Timeout, KeepAlive: 15 * time.Second}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				if c.Addr != "" {
					addr = c.Addr
				}
				return dialer.DialContext(ctx, network, addr)
			},
			TLSClientConfig:     &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: c.Timeout,
			MaxIdleConns:        512,
			MaxIdleConnsPerHost: 512,
			// Shorter than any server's, so that the server never closes a connection that is about to be used.
			IdleConnTimeout: 10 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
