package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// endpointKey carries the chosen endpoint from handler to proxy.
type endpointKey struct{}

// proxy sends every request to one endpoint, once.
type proxy struct {
	table   *table
	next    atomic.Uint64
	reverse *httputil.ReverseProxy
}

func newProxy(t *table) *proxy {
	return &proxy{table: t, reverse: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme = "http"
			r.Out.URL.Host, _ = r.In.Context().Value(endpointKey{}).(string)
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		Transport:     upstream(),
		FlushInterval: -1,
		ErrorLog:      log.New(os.Stderr, "ingress: ", 0),
		ErrorHandler:  failed,
	}}
}

// upstream keeps connections open per endpoint.
func upstream() http.RoundTripper {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	return once{&http.Transport{
		DialContext:         dialer.DialContext,
		MaxIdleConns:        0,
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	}}
}

// once keeps http.Transport from sending a request again on a fresh connection
// when an idle one turns out to be closed: it does that only for requests without
// a body, so none is left without one.
type once struct{ http.RoundTripper }

func (o once) RoundTrip(r *http.Request) (*http.Response, error) {
	r.GetBody = nil
	if bodyless := r.Body == nil || r.Body == http.NoBody; bodyless && usuallyBodyless[r.Method] {
		r.Body = io.NopCloser(strings.NewReader(""))
		r.ContentLength = -1 // found out to be empty when sent
	}
	return o.RoundTripper.RoundTrip(r)
}

// usuallyBodyless are the methods for which an empty body of unknown length is
// sent as none at all.
var usuallyBodyless = map[string]bool{
	http.MethodGet: true, http.MethodHead: true, http.MethodOptions: true, http.MethodDelete: true,
}

// ServeHTTP takes the endpoints in turn.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	endpoints, found := p.table.routes().match(host, r.URL.Path)
	if !found {
		http.Error(w, "no such host or path", http.StatusNotFound)
		return
	}
	if len(endpoints) == 0 {
		http.Error(w, "no ready endpoint", http.StatusServiceUnavailable)
		return
	}
	e := endpoints[p.next.Add(1)%uint64(len(endpoints))]
	p.reverse.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), endpointKey{}, e)))
}

// failed answers a request whose endpoint did not.
func failed(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) {
		return // the client left
	}
	log.Printf("ingress: %s %s: %v", r.Method, r.Host, err)
	http.Error(w, "the endpoint did not answer", http.StatusBadGateway)
}
