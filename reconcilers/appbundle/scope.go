package appbundle

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/migrations/schema"
	"github.com/interlock-dev/interlock/migrations/schema/compat"
	"github.com/interlock-dev/interlock/reconcilers/internal/apply"
	"github.com/interlock-dev/interlock/reconcilers/internal/gitsource"
	"github.com/interlock-dev/interlock/reconcilers/internal/stamps"
	"github.com/interlock-dev/interlock/reconcilers/internal/statuswriter"
)

// scope is everything that one pass read and found out. Status is computed from it alone.
type scope struct {
	obj    *v1alpha1.AppBundle
	before *v1alpha1.AppBundle
	status *statuswriter.Writer[*v1alpha1.AppBundle]

	// phase that the pass is in, with when it began; the last one is where the pass ended.
	phase string
	began time.Time

	snapshot  *gitsource.Snapshot
	revision  string
	kustomize bool
	outside   bool
	objects   []*unstructured.Unstructured

	owned  []*ownedSeries
	used   []usedSeries
	params map[string]string

	identity apply.Identity
	applier  *apply.Applier
	// own applies what Interlock makes itself, as the operator.
	own *apply.Applier

	live   map[stamps.Key]*stamps.Template
	stamps stamps.Result
	// tolerated is what enforcement Audit let pass.
	tolerated []string

	certificates []certificate
	desired      []v1alpha1.InventoryEntry
	counts       apply.Counts
	applied      bool

	contracted *metav1.Condition
	suspended  bool
	after      time.Duration
}

// ownedSeries is a series of the bundle's own migrations.
type ownedSeries struct {
	spec    v1alpha1.BundleMigrations
	db      *v1alpha1.Database
	dir     string
	files   []schema.File
	classes []compat.Classified
	digest  string
	// sm is the SchemaMigration; nil before it is first applied.
	sm *v1alpha1.SchemaMigration
	// lost are versions that the SchemaMigration's present source has, the fence made final, and this tree lacks.
	lost []int64
}

// usedSeries is a series that another bundle, or a platform engineer, migrates.
type usedSeries struct {
	name string
	sm   *v1alpha1.SchemaMigration
	db   *v1alpha1.Database
}

// newest is the newest version in the tree.
func (o *ownedSeries) newest() int64 {
	if len(o.files) == 0 {
		return 0
	}
	return o.files[len(o.files)-1].Version
}

// versions are those of the tree.
func (o *ownedSeries) versions() []int64 {
	out := make([]int64, 0, len(o.files))
	for _, f := range o.files {
		out = append(out, f.Version)
	}
	return out
}

// enter notes which phase the pass is in.
func (s *scope) enter(phase string, now time.Time) { s.phase, s.began = phase, now }

// trail are the receipts that this revision has left since it was last taken up.
func trail(history []v1alpha1.Receipt, revision string) []v1alpha1.Receipt {
	start := len(history)
	for start > 0 && history[start-1].Revision == revision {
		start--
	}
	return history[start:]
}

// receiptOf returns the receipt of a phase of this revision; nil if there is none.
func (s *scope) receiptOf(phase string) *v1alpha1.Receipt {
	t := trail(s.obj.Status.History, s.revision)
	if i := slices.IndexFunc(t, func(r v1alpha1.Receipt) bool { return r.Phase == phase }); i >= 0 {
		return &t[i]
	}
	return nil
}

// finish leaves the receipt of a phase, once for each revision. A phase that began in an earlier pass began when the
// receipt before it was written.
func (s *scope) finish(phase, message string, now time.Time) {
	began := s.began
	t := trail(s.obj.Status.History, s.revision)
	if len(t) > 0 && s.before.Status.LastAttemptedRevision == s.revision && s.before.Status.Phase == phase {
		began = t[len(t)-1].Time.Time
	}
	s.leave(phase, message, now, now.Sub(began))
}

// leave appends a receipt, unless this revision has one of the phase already, or is done.
func (s *scope) leave(phase, message string, now time.Time, took time.Duration) {
	settled := s.before.Status.LastAttemptedRevision == s.revision && s.before.Status.Phase == PhaseDone
	if s.revision == "" || settled || s.receiptOf(phase) != nil {
		return
	}
	s.obj.Status.History = v1alpha1.AppendReceipt(s.obj.Status.History, v1alpha1.Receipt{
		Phase: phase, Revision: s.revision, Message: clip(message, 1024), Time: metav1.NewTime(now),
		DurationMillis: max(took.Milliseconds(), 0),
	})
}
