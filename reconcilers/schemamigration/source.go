package schemamigration

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/migrations/schema"
	"github.com/interlock-dev/interlock/migrations/schema/compat"
	"github.com/interlock-dev/interlock/migrations/schema/journal"
	"github.com/interlock-dev/interlock/migrations/schema/plan"
	"github.com/interlock-dev/interlock/reconcilers/internal/halt"
	"github.com/interlock-dev/interlock/reconcilers/internal/secretkey"
)

// readDatabase reads the Database and the connection string from its Secret.
func (r *Reconciler) readDatabase(ctx context.Context, s *scope) error {
	s.db = &v1alpha1.Database{}
	key := client.ObjectKey{Namespace: s.obj.Namespace, Name: s.obj.Spec.DatabaseRef.Name}
	if err := r.Client.Get(ctx, key, s.db); apierrors.IsNotFound(err) {
		return halt.Retry(10*time.Second, ReasonDatabaseNotFound,
			fmt.Errorf("there is no Database %q in namespace %q; create it, or correct spec.databaseRef", key.Name, key.Namespace))
	} else if err != nil {
		return err
	}
	var err error
	if s.uri, err = secretkey.Read(ctx, r.Live, s.obj.Namespace, s.db.Spec.Connection.SecretRef); err != nil {
		return halt.Retry(10*time.Second, ReasonSecretNotFound, err)
	}
	return nil
}

// claimSeries lets only the oldest SchemaMigration of a series work: two would fight over one journal.
func (r *Reconciler) claimSeries(ctx context.Context, s *scope) error {
	list := &v1alpha1.SchemaMigrationList{}
	if err := r.Client.List(ctx, list, client.InNamespace(s.obj.Namespace)); err != nil {
		return err
	}
	for i := range list.Items {
		if o := &list.Items[i]; o.Spec.Series == s.obj.Spec.Series && o.UID != s.obj.UID && isOlder(o, s.obj) {
			return stall(ReasonSeriesTaken, "series %q belongs to the older SchemaMigration %q; delete one of the two, or rename the series", o.Spec.Series, o.Name)
		}
	}
	return nil
}

// isOlder orders by age, and by name where the age is the same.
func isOlder(a, b *v1alpha1.SchemaMigration) bool {
	if a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.Name < b.Name
	}
	return a.CreationTimestamp.Before(&b.CreationTimestamp)
}

// loadSource reads, parses and classifies the migration files.
func (r *Reconciler) loadSource(ctx context.Context, s *scope) error {
	texts := s.obj.Spec.Inline
	if ref := s.obj.Spec.ConfigMapRef; ref != nil {
		cm := &corev1.ConfigMap{}
		err := r.Live.Get(ctx, client.ObjectKey{Namespace: s.obj.Namespace, Name: ref.Name}, cm)
		if apierrors.IsNotFound(err) {
			return halt.Retry(10*time.Second, ReasonSourceNotFound, fmt.Errorf("there is no ConfigMap %q with the migration files", ref.Name))
		} else if err != nil {
			return err
		}
		texts = cm.Data
	}
	var err error
	if s.files, err = schema.Load(texts); err != nil {
		return stall(ReasonSourceInvalid, "%v", err)
	}
	if len(s.files) == 0 {
		return stall(ReasonSourceInvalid, "the source has no migration files (<version>_<name>.sql)")
	}
	if s.classes, err = compat.Classify(s.files); err != nil {
		return stall(ReasonSourceInvalid, "%v", err)
	}
	s.digest = schema.Digest(s.files)
	s.steps = stepsOf(s.classes)
	return nil
}

func stepsOf(classes []compat.Classified) []plan.Step {
	steps := make([]plan.Step, 0, len(classes))
	for _, c := range classes {
		steps = append(steps, plan.Step{Version: c.File.Version, Name: c.File.Name, Checksum: c.File.Checksum,
			Phase: c.Phase, NeedsReaders: c.File.NeedsReaders(), Touches: c.Touches})
	}
	return steps
}

// refusePending stops at the first file that must not run: one that is neither applied nor above the target.
// What is applied already is history, however it would be judged today.
func refusePending(s *scope) error {
	for _, c := range s.classes {
		v := c.File.Version
		if done := s.state.Step(v); done != nil && done.State == journal.StepVerified || s.target() > 0 && v > s.target() {
			continue
		}
		if err := c.Err(); err != nil {
			return stall(ReasonClassificationRefused, "%v", err)
		}
	}
	return nil
}
