// Command ingress is the local cluster's ingress controller: it terminates TLS by
// server name and proxies to the ready endpoints of the Services that Ingress
// objects name.
//
// It hides nothing from the clients it is measured by: no request is sent twice,
// and a host without a certificate gets no TLS at all rather than a wrong one.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "ingress:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	table, err := newTable(factory)
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	for kind, ok := range factory.WaitForCacheSync(ctx.Done()) {
		if !ok {
			return fmt.Errorf("cannot read %v", kind)
		}
	}
	go table.run(ctx)
	return serve(ctx, table)
}

// serve listens on 80 and 443 until ctx ends, then lets running requests finish.
func serve(ctx context.Context, t *table) error {
	<-t.built
	handler := newProxy(t)
	servers := []*http.Server{
		{Addr: ":80", Handler: handler, ReadHeaderTimeout: 10 * time.Second},
		{Addr: ":443", Handler: handler, ReadHeaderTimeout: 10 * time.Second, TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS12, GetCertificate: t.certificate,
		}},
		{Addr: ":10254", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }), ReadHeaderTimeout: 10 * time.Second},
	}
	failed := make(chan error, len(servers))
	for _, s := range servers {
		s.ErrorLog = log.New(os.Stderr, "ingress: ", 0)
		go func() {
			if s.TLSConfig != nil {
				failed <- s.ListenAndServeTLS("", "")
			} else {
				failed <- s.ListenAndServe()
			}
		}()
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.Background(), 25*time.Second)
	defer cancel()
	for _, s := range servers {
		err = errors.Join(err, s.Shutdown(end))
	}
	return err
}
