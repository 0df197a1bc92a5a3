package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

func main() {
	dir := flag.String("dir", "/migrations", "folder of the goose SQL files")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Getenv("DATABASE_URL"), *dir); err != nil {
		log.Fatalf("migrate: %v", err) //nolint:gocritic // the process ends, and its signal handler with it
	}
}

// run applies what is missing, one runner at a time.
func run(ctx context.Context, uri, dir string) error {
	if uri == "" {
		return errors.New("set DATABASE_URL to the connection URI of the database")
	}
	db, err := sql.Open("pgx", uri)
	if err != nil {
		return errors.New("DATABASE_URL is not a valid connection URI; it must look like postgres://user:password@host/database")
	}
	defer func() { _ = db.Close() }()
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, os.DirFS(dir), goose.WithSessionLocker(locker))
	if err != nil {
		return fmt.Errorf("read %s: %w", dir, err)
	}
	results, err := provider.Up(ctx)
	for _, r := range results {
		log.Printf("applied %s in %s", r.Source.Path, r.Duration)
	}
	return err
}
