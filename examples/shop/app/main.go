package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/interlock-dev/interlock/examples/shop/store"
	v1 "github.com/interlock-dev/interlock/examples/shop/store/v1"
	v2 "github.com/interlock-dev/interlock/examples/shop/store/v2"
)

// version is set when the binary is linked, so an image speaks one schema and no other.
var version = "1"

func main() {
	listen := flag.String("listen", ":8080", "address to serve HTTP on")
	grace := flag.Duration("grace", 5*time.Second, "how long to go on serving after SIGTERM, until nobody sends requests any more")
	drain := flag.Duration("drain", 15*time.Second, "how long requests that are under way may still take after that")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Getenv("DATABASE_URL"), *listen, *grace, *drain); err != nil {
		log.Fatalf("shop %s: %v", version, err) //nolint:gocritic // the process ends, and its signal handler with it
	}
}

func run(ctx context.Context, uri, listen string, grace, drain time.Duration) error {
	if uri == "" {
		return errors.New("set DATABASE_URL to the connection URI of the database")
	}
	config, err := pgxpool.ParseConfig(uri)
	if err != nil {
		// What the parser says may repeat parts of the URI.
		return errors.New("DATABASE_URL is not a valid connection URI; it must look like postgres://user:password@host/database")
	}
	config.MaxConns = 8
	config.MinConns = 2
	config.ConnConfig.RuntimeParams["application_name"] = "shop@" + version
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return errors.New("cannot set up the connection pool; check DATABASE_URL")
	}
	defer pool.Close()
	orders, err := storeFor(version, pool)
	if err != nil {
		return err
	}
	return serve(ctx, newServer(orders, version), listen, grace, drain)
}

func storeFor(version string, pool *pgxpool.Pool) (store.Store, error) {
	switch version {
	case "1":
		return v1.New(pool), nil
	case "2":
		return v2.New(pool), nil
	}
	return nil, fmt.Errorf("no store for version %q; link the binary with -X main.version=1 or 2", version)
}

// serve answers until ctx ends, and then as long as somebody may still send requests: a Pod that is deleted
// goes on receiving them until every proxy has heard of it.
func serve(ctx context.Context, s *server, listen string, grace, drain time.Duration) error {
	srv := &http.Server{
		Addr:              listen,
		Handler:           s.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      20 * time.Second,
		IdleTimeout:       2 * time.Minute,
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.ListenAndServe() }()
	log.Printf("shop %s serves on %s", version, listen)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	s.leaving.Store(true)
	log.Printf("shop %s leaves: serving for another %s", version, grace)
	time.Sleep(grace)
	last, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	return srv.Shutdown(last)
}
