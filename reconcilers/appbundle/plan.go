package appbundle

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/reconcilers/internal/stamps"
)

// missing lists the versions up to a limit that the present source has and a tree lacks.
func missing(present, tree []int64, limit int64) []int64 {
	var out []int64
	for _, v := range present {
		if v <= limit && !slices.Contains(tree, v) {
			out = append(out, v)
		}
	}
	return out
}

// seriesView is a series as far as planning and starting depend on it.
type seriesView struct {
	name string
	// owned series have a newest version in the tree, and may lack committed ones.
	owned  bool
	newest int64
	lost   []int64
	fence  v1alpha1.FenceStatus
	// ready is what code may be built for to start now.
	ready int64
	// audit: the Database only reports.
	audit bool
}

// refusal is why a revision can not be deployed.
type refusal struct {
	reason, message string
	// audit: it is only reported.
	audit bool
}

// refusals says what speaks against a revision whatever one waits for: it is built for less than a committed fence, it
// lacks migrations that are final, or it declares what no migration of its tree brings.
func refusals(list []stamps.Stamp, views []seriesView, revision string) []refusal {
	var out []refusal
	for _, v := range views {
		if v.owned && v.fence.Committed > 0 && (v.newest < v.fence.Committed || len(v.lost) > 0) {
			out = append(out, refusal{ReasonRollbackRefused, fmt.Sprintf(
				"%s goes back past the fence: its tree has series %s without %s, and the contract step at %d is done; %s",
				revision, v.name, lacks(v), v.fence.Committed, wayOut(v)), v.audit})
		}
		for _, st := range list {
			if st.Series != v.name {
				continue
			}
			if st.Version < v.fence.Committed {
				out = append(out, refusal{ReasonRollbackRefused, fmt.Sprintf(
					"%s goes back past the fence: %s is built for %s@%d (%s), and the contract step at %d is done, so nothing below works any more; %s",
					revision, st.Key, st.Series, st.Version, st.Why, v.fence.Committed, wayOut(v)), v.audit})
			}
			if v.owned && st.Version > v.newest && !st.Kept {
				out = append(out, refusal{ReasonStampInvalid, fmt.Sprintf(
					"%s declares %s@%d, and the newest migration in the tree is %d; commit the migration too, or correct the stamp",
					st.Key, st.Series, st.Version, v.newest), false})
			}
		}
	}
	return out
}

func lacks(v seriesView) string {
	if len(v.lost) == 0 {
		return fmt.Sprintf("anything above %d", v.newest)
	}
	texts := make([]string, 0, len(v.lost))
	for _, n := range v.lost[:min(len(v.lost), 5)] {
		texts = append(texts, strconv.FormatInt(n, 10))
	}
	return "version " + strings.Join(texts, ", ")
}

func wayOut(v seriesView) string {
	if v.fence.OldestRevision == "" {
		return fmt.Sprintf("roll forward: deploy a revision built for %s@%d or newer", v.name, v.fence.Committed)
	}
	return fmt.Sprintf("the oldest revision that still works is %s: deploy that one or a newer one", v.fence.OldestRevision)
}

// tooEarly returns the first stamp that may not start yet, with what it waits for; "" if all may. A fence that is
// proposed or held but not committed is withdrawn once somebody below is seen, so below it is waited, not refused.
func tooEarly(list []stamps.Stamp, views []seriesView) string {
	for _, st := range list {
		i := slices.IndexFunc(views, func(v seriesView) bool { return v.name == st.Series })
		if i < 0 {
			return fmt.Sprintf("%s is built for %s@%d, and no SchemaMigration of the namespace has that series; apply it, or correct the stamp", st.Key, st.Series, st.Version)
		}
		v := views[i]
		raised := v.fence.State == v1alpha1.FenceProposed || v.fence.State == v1alpha1.FenceHeld
		switch {
		case v.audit:
		case st.Version < v.fence.Committed:
			return fmt.Sprintf("%s is built for %s@%d, and the contract step at %d was done meanwhile", st.Key, st.Series, st.Version, v.fence.Committed)
		case st.Version > v.ready:
			return fmt.Sprintf("%s is built for %s@%d, and the database is ready for %d", st.Key, st.Series, st.Version, v.ready)
		case raised && st.Version < v.fence.Version:
			return fmt.Sprintf("%s is built for %s@%d, and a fence at %d is being raised for a contract step; it is withdrawn, or the step is done and this revision refused", st.Key, st.Series, st.Version, v.fence.Version)
		}
	}
	return ""
}

// plan refuses what can not work, before anything is touched.
func (r *Reconciler) plan(_ context.Context, s *scope) error {
	s.tolerated = nil
	for _, refused := range refusals(s.stamps.Stamps, s.views(), s.revision) {
		if !refused.audit {
			return stall(refused.reason, "%s", refused.message)
		}
		s.tolerated = append(s.tolerated, refused.message)
	}
	for _, o := range s.owned {
		var ready int64
		if o.sm != nil {
			ready = o.sm.Status.ReadyVersion
		}
		if message := twoStep(o.spec.Series, o.classes, ready, s.stamps.Stamps, s.runs()); message != "" {
			return stall(ReasonTwoStep, "%s", message)
		}
	}
	s.finish(PhasePlan, describePlan(s.stamps.Stamps, s.tolerated), r.Clock.Now())
	return nil
}

// runs says whether anything of the bundle is in the cluster already, so that old pods run beside new ones; whatever
// the workloads are called now.
func (s *scope) runs() bool { return s.obj.Status.LastAppliedRevision != "" || len(s.live) > 0 }

func describePlan(list []stamps.Stamp, tolerated []string) string {
	if len(list) == 0 {
		return "no workload reads a series"
	}
	texts := make([]string, 0, len(list)+len(tolerated))
	for _, st := range list {
		texts = append(texts, fmt.Sprintf("%s (%s)", st, st.Why))
	}
	for _, t := range tolerated {
		texts = append(texts, "tolerated, enforcement is Audit: "+t)
	}
	return strings.Join(texts, "; ")
}

// views shows every series that a stamp may speak of.
func (s *scope) views() []seriesView {
	var out []seriesView
	for _, o := range s.owned {
		v := seriesView{name: o.spec.Series, owned: true, newest: o.newest(), lost: o.lost,
			audit: o.db.Spec.Enforcement == v1alpha1.EnforcementAudit}
		if o.sm != nil {
			v.fence, v.ready = o.sm.Status.Fence, o.sm.Status.ReadyVersion
		}
		out = append(out, v)
	}
	for _, u := range s.used {
		out = append(out, seriesView{name: u.name, fence: u.sm.Status.Fence, ready: u.sm.Status.ReadyVersion,
			audit: u.db.Spec.Enforcement == v1alpha1.EnforcementAudit})
	}
	for _, st := range s.stamps.Stamps {
		if !slices.ContainsFunc(out, func(v seriesView) bool { return v.name == st.Series }) {
			if v, ok := s.fromParams(st.Series); ok {
				out = append(out, v)
			}
		}
	}
	return out
}

// fromParams shows a series that only a stamp in Git names, as the admission policies see it.
func (s *scope) fromParams(series string) (seriesView, bool) {
	key := v1alpha1.SeriesKey(series)
	ready, err := strconv.ParseInt(s.params[key+v1alpha1.ParamsReadySuffix], 10, 64)
	if err != nil {
		return seriesView{}, false
	}
	v := seriesView{name: series, ready: ready}
	v.fence.Committed = s.paramsMin(series)
	v.fence.OldestRevision = s.params[key+v1alpha1.ParamsHintSuffix]
	return v, true
}

// paramsMin is the fence of a series as the admission policies have it; 0 for none.
func (s *scope) paramsMin(series string) int64 {
	v, err := strconv.ParseInt(s.params[v1alpha1.SeriesKey(series)+v1alpha1.ParamsMinSuffix], 10, 64)
	if err != nil {
		return 0
	}
	return v
}
