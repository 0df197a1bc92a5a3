package journal

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
)

func fenceTo(t *testing.T, conn *pgx.Conn, series string, to FenceState, version int64) (Fence, error) {
	switch to {
	case FenceProposed:
		return Propose(t.Context(), conn, series, version, "main@1")
	case FenceHeld:
		return Hold(t.Context(), conn, series, version)
	case FenceCommitted:
		return Commit(t.Context(), conn, series, version)
	}
	return Withdraw(t.Context(), conn, series, version)
}

func describe(f Fence) string {
	return fmt.Sprintf("%s %d %d", f.State, f.Version, f.Committed)
}
