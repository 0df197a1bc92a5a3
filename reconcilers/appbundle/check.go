package appbundle

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/migrations/schema"
	"github.com/interlock-dev/interlock/migrations/schema/compat"
	"github.com/interlock-dev/interlock/reconcilers/internal/halt"
	"github.com/interlock-dev/interlock/reconcilers/internal/params"
	"github.com/interlock-dev/interlock/reconcilers/internal/render"
	"github.com/interlock-dev/interlock/reconcilers/internal/stamps"
)

// readSeries reads what the cluster knows of the series that the bundle owns and uses.
func (r *Reconciler) readSeries(ctx context.Context, s *scope) error {
	for _, spec := range s.obj.Spec.Migrations {
		o, err := r.readOwned(ctx, s, spec)
		if err != nil {
			return err
		}
		s.owned = append(s.owned, o)
	}
	if len(s.obj.Spec.Uses) > 0 {
		if err := r.readUsed(ctx, s); err != nil {
			return err
		}
	}
	var err error
	s.params, err = params.Read(ctx, r.Live, s.obj.Namespace)
	return err
}

func (r *Reconciler) readOwned(ctx context.Context, s *scope, spec v1alpha1.BundleMigrations) (*ownedSeries, error) {
	dir, err := render.Clean(spec.Path)
	if err != nil {
		return nil, err
	}
	o := &ownedSeries{spec: spec, dir: dir}
	if o.db, err = r.readDatabase(ctx, s.obj.Namespace, spec.DatabaseRef.Name); err != nil {
		return nil, err
	}
	o.sm, err = r.readMigration(ctx, s.obj.Namespace, migrationName(s.obj.Name, spec.Series))
	return o, err
}

func (r *Reconciler) readDatabase(ctx context.Context, namespace, name string) (*v1alpha1.Database, error) {
	db := &v1alpha1.Database{}
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, db)
	if apierrors.IsNotFound(err) {
		return nil, halt.Retry(10*time.Second, ReasonDatabaseNotFound, fmt.Errorf(
			"there is no Database %q in namespace %q; create it (it is not part of the bundle), or correct databaseRef", name, namespace))
	}
	return db, err
}

// readMigration reads a SchemaMigration past the cache, because what starts rests on it; nil if there is none.
func (r *Reconciler) readMigration(ctx context.Context, namespace, name string) (*v1alpha1.SchemaMigration, error) {
	sm := &v1alpha1.SchemaMigration{}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, sm)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return sm, err
}

func (r *Reconciler) readUsed(ctx context.Context, s *scope) error {
	list := &v1alpha1.SchemaMigrationList{}
	if err := r.Client.List(ctx, list, client.InNamespace(s.obj.Namespace)); err != nil {
		return err
	}
	for _, u := range s.obj.Spec.Uses {
		used := usedSeries{name: u.Series}
		for i := range list.Items {
			if list.Items[i].Spec.Series == u.Series {
				used.sm = &list.Items[i]
			}
		}
		if used.sm == nil {
			return halt.Retry(10*time.Second, ReasonSeriesUnknown, fmt.Errorf(
				"spec.uses: no SchemaMigration in namespace %q has the series %q; apply the bundle that owns it first, or correct the name", s.obj.Namespace, u.Series))
		}
		var err error
		if used.db, err = r.readDatabase(ctx, s.obj.Namespace, used.sm.Spec.DatabaseRef.Name); err != nil {
			return err
		}
		s.used = append(s.used, used)
	}
	return nil
}

// check loads and classifies the migrations of the revision. What must not run is refused here, before anything of the
// revision touches the cluster.
func (r *Reconciler) check(ctx context.Context, s *scope) error {
	if len(s.owned) == 0 {
		return nil
	}
	tree, err := s.snapshot.Head().FS()
	if err != nil {
		return err
	}
	var summary []string
	for _, o := range s.owned {
		if o.files, err = schema.LoadFS(tree, o.dir); err != nil {
			if tooLarge(err) {
				return err
			}
			return stall(ReasonMigrationsInvalid, "series %s: %s: %v", o.spec.Series, o.dir, err)
		}
		if len(o.files) == 0 {
			return stall(ReasonMigrationsInvalid, "series %s: there is no migration (<version>_<name>.sql) in %q; correct spec.migrations, or add one", o.spec.Series, o.dir)
		}
		o.digest = schema.Digest(o.files)
		if o.classes, err = compat.Classify(o.files); err != nil {
			return stall(ReasonMigrationsInvalid, "series %s: %s: %v", o.spec.Series, o.dir, err)
		}
		if err := refusePending(o); err != nil {
			return stall(ReasonMigrationsInvalid, "series %s: %s/%v", o.spec.Series, o.dir, err)
		}
		if o.lost, err = r.lostVersions(ctx, o); err != nil {
			return err
		}
		summary = append(summary, describeClasses(o))
	}
	s.finish(PhaseCheck, strings.Join(summary, "; "), r.Clock.Now())
	return nil
}

// refusePending returns the first error in a file that has yet to run. What has run is history.
func refusePending(o *ownedSeries) error {
	done := int64(0)
	if o.sm != nil {
		done = o.sm.Status.ContractedVersion
	}
	for _, c := range o.classes {
		if c.File.Version <= done {
			continue
		}
		if err := c.Err(); err != nil {
			return err
		}
	}
	return nil
}

func describeClasses(o *ownedSeries) string {
	byPhase := map[schema.Phase]int{}
	for _, c := range o.classes {
		byPhase[c.Phase]++
	}
	return fmt.Sprintf("series %s is at %d: %d expand, %d backfill, %d contract", o.spec.Series, o.newest(),
		byPhase[schema.PhaseExpand], byPhase[schema.PhaseBackfill], byPhase[schema.PhaseContract])
}

// lostVersions finds what the present source has up to the committed fence and the tree lacks.
func (r *Reconciler) lostVersions(ctx context.Context, o *ownedSeries) ([]int64, error) {
	if o.sm == nil || o.sm.Status.Fence.Committed == 0 || o.sm.Spec.ConfigMapRef == nil {
		return nil, nil
	}
	cm := &corev1.ConfigMap{}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: o.sm.Namespace, Name: o.sm.Spec.ConfigMapRef.Name}, cm)
	if apierrors.IsNotFound(err) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	present := stamps.Versions(slices.Sorted(maps.Keys(cm.Data)))
	return missing(present, o.versions(), o.sm.Status.Fence.Committed), nil
}
