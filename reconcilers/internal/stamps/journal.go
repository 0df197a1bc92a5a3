package stamps

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/migrations/schema/journal"
	"github.com/interlock-dev/interlock/migrations/schema/postgres"
	"github.com/interlock-dev/interlock/reconcilers/internal/secretkey"
)

// Known is what the journal of a series knows that matters for stamps.
type Known struct {
	// Images and their versions.
	Images map[string]int64
	// Versions that were ever seen.
	Versions []int64
}

// Image is an image whose version was found out.
type Image struct {
	Image   string
	Version int64
	// Commit that it was derived from; empty when it was declared.
	Commit string
	// Revision that brought it.
	Revision string
}

// Store remembers images and their versions.
type Store interface {
	// Known returns what is remembered of a series.
	Known(ctx context.Context, db *v1alpha1.Database, series string) (Known, error)
	// Record remembers images. What is remembered with a lower version keeps it; the result says what holds.
	Record(ctx context.Context, db *v1alpha1.Database, series string, images []Image) (map[string]int64, error)
}

// Journal is the Store in the database itself. It opens a connection for each call.
type Journal struct {
	// Live reads Secrets past the cache.
	Live client.Reader
}

var _ Store = Journal{}

// connect logs in with the Database's Secret. Errors carry no credentials.
func (j Journal) connect(ctx context.Context, db *v1alpha1.Database) (*pgx.Conn, error) {
	uri, err := secretkey.Read(ctx, j.Live, db.Namespace, db.Spec.Connection.SecretRef)
	if err != nil {
		return nil, err
	}
	return postgres.Connect(ctx, uri, postgres.Options{ApplicationName: "interlock"})
}

func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// Known implements Store.
func (j Journal) Known(ctx context.Context, db *v1alpha1.Database, series string) (Known, error) {
	conn, err := j.connect(ctx, db)
	if err != nil {
		return Known{}, err
	}
	defer closeConn(conn)
	state, err := journal.Read(ctx, conn, series)
	if err != nil {
		return Known{}, err
	}
	known := Known{Images: map[string]int64{}}
	for _, i := range state.Images {
		known.Images[i.Image] = i.Version
	}
	for _, v := range state.Versions {
		known.Versions = append(known.Versions, v.Version)
	}
	return known, nil
}

// Record implements Store.
func (j Journal) Record(ctx context.Context, db *v1alpha1.Database, series string, images []Image) (map[string]int64, error) {
	conn, err := j.connect(ctx, db)
	if err != nil {
		return nil, err
	}
	defer closeConn(conn)
	if err := journal.Ensure(ctx, conn); err != nil {
		return nil, err
	}
	held := map[string]int64{}
	for _, i := range images {
		got, err := journal.RecordImage(ctx, conn, series, journal.Image{Image: i.Image, Version: i.Version, Commit: i.Commit, Revision: i.Revision})
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", i.Image, err)
		}
		held[i.Image] = got.Version
	}
	return held, nil
}
