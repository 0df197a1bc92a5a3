package schemamigration

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/migrations/schema"
	"github.com/interlock-dev/interlock/migrations/schema/compat"
	"github.com/interlock-dev/interlock/migrations/schema/journal"
	"github.com/interlock-dev/interlock/migrations/schema/plan"
	"github.com/interlock-dev/interlock/migrations/schema/postgres"
	"github.com/interlock-dev/interlock/reconcilers/internal/statuswriter"
)

// scope is everything that one pass read and found out. Status is computed from it alone.
type scope struct {
	obj *v1alpha1.SchemaMigration
	// before is the object at the start of the pass.
	before *v1alpha1.SchemaMigration
	status *statuswriter.Writer[*v1alpha1.SchemaMigration]

	db      *v1alpha1.Database
	uri     string
	files   []schema.File
	classes []compat.Classified
	steps   []plan.Step
	digest  string

	conn     *pgx.Conn
	state    journal.State
	identity postgres.Identity
	// databaseNow is the database's clock at the time state was read.
	databaseNow time.Time
	decision    plan.Decision

	holders  []v1alpha1.Holder
	contract *contractVerdict
	// contracting: expand and backfill are behind this pass.
	contracting bool
	running     *plan.Step
	progress    string
	gatedNow    int

	after time.Duration
}

// close ends the pass's own session; a runner's is closed by who opened it.
func (s *scope) close() {
	if s.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = s.conn.Close(ctx)
	s.conn = nil
}

// on makes a session the one that everything in a function reads through. What is decided for a runner has to
// be read on its own session: during a failover another one may be another server.
func (s *scope) on(conn *pgx.Conn, do func() error) error {
	outer := s.conn
	s.conn = conn
	defer func() { s.conn = outer }()
	return do()
}

// audit says whether the Database only reports.
func (s *scope) audit() bool { return s.db.Spec.Enforcement == v1alpha1.EnforcementAudit }

// class returns the classified file of a version.
func (s *scope) class(version int64) (compat.Classified, bool) {
	for _, c := range s.classes {
		if c.File.Version == version {
			return c, true
		}
	}
	return compat.Classified{}, false
}

// target returns the version that the spec asks for, 0 for the newest.
func (s *scope) target() int64 {
	if s.obj.Spec.TargetVersion != nil {
		return *s.obj.Spec.TargetVersion
	}
	return 0
}
