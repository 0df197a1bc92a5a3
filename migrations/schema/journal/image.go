package journal

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Image is an image reference and the version of the series that it was built for.
type Image struct {
	Image   string
	Version int64
	// Commit is the oldest commit that names the image, Revision the one that Interlock was applying.
	Commit, Revision string
	FirstSeen        time.Time
}

// RecordImage remembers for which version an image was built and returns what the journal holds then: the smallest
// version that was ever recorded for it, never a raised one.
func RecordImage(ctx context.Context, conn *pgx.Conn, series string, i Image) (Image, error) {
	rows, err := conn.Query(ctx, `INSERT INTO interlock.images AS i (series, image, version, commit_id, revision)
		VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (series, image) DO UPDATE SET
			version = LEAST(i.version, excluded.version),
			commit_id = CASE WHEN excluded.version < i.version THEN excluded.commit_id ELSE i.commit_id END,
			revision = CASE WHEN excluded.version < i.version THEN excluded.revision ELSE i.revision END
		RETURNING image, version, commit_id, revision, first_seen`, series, i.Image, i.Version, i.Commit, i.Revision)
	if err != nil {
		return Image{}, fmt.Errorf("recording an image: %w", err)
	}
	got, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Image])
	if err != nil {
		return Image{}, fmt.Errorf("recording an image: %w", err)
	}
	return got, nil
}

// Images are those of a series, by name; none if there is no journal yet.
func Images(ctx context.Context, conn *pgx.Conn, series string) ([]Image, error) {
	version, err := schemaVersion(ctx, conn)
	if err != nil || version == 0 {
		return nil, err
	}
	return readImages(ctx, conn, series)
}

func readImages(ctx context.Context, q querier, series string) ([]Image, error) {
	rows, err := q.Query(ctx, `SELECT image, version, commit_id, revision, first_seen FROM interlock.images
		WHERE series = $1 ORDER BY image`, series)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Image])
}
