package database

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	fluxmeta "github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/migrations/schema/postgres"
	"github.com/interlock-dev/interlock/reconcilers/internal/secretkey"
	"github.com/interlock-dev/interlock/reconcilers/internal/statuswriter"
)

// Reasons of the condition Ready, beside those of migrations/schema/postgres.
const (
	// ReasonReachable: Interlock can log in, sees every session, and may change the schema.
	ReasonReachable = "Reachable"
	// ReasonSecretNotFound: the Secret, or the key in it, is missing.
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonUnreachable: the database does not answer for a reason that has no name of its own.
	ReasonUnreachable = "Unreachable"
)

// How often a database is looked at: when all is well, and when it is not.
const (
	wellInterval = time.Minute
	sickInterval = 5 * time.Second
)

// Reconciler reconciles Databases.
//
// +kubebuilder:rbac:groups=interlock.dev,resources=databases,verbs=get;list;watch
// +kubebuilder:rbac:groups=interlock.dev,resources=databases/status,verbs=get;update;patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get
type Reconciler struct {
	// Client reads through the cache and writes.
	Client client.Client
	// Live reads past the cache.
	Live client.Reader
	// Recorder of events.
	Recorder record.EventRecorder
	// Clock for intervals.
	Clock clock.Clock
}

// SetupWithManager registers the reconciler.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, concurrent int) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.Database{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}))).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrent}).
		Complete(r)
}

// Reconcile looks at a database and writes down what it saw.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	obj := &v1alpha1.Database{}
	if err := r.Client.Get(ctx, req.NamespacedName, obj); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !obj.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	before := conditions.Get(obj, v1alpha1.ReadyCondition)
	status := statuswriter.New(r.Client, r.Live, obj, func(d *v1alpha1.Database) any { return d.Status })
	seen, err := r.look(ctx, obj)
	after := summarise(obj, seen, err)
	if err := status.Write(ctx, obj); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	r.emitEvent(obj, before)
	return ctrl.Result{RequeueAfter: after}, nil
}

// secretError is a Secret, or a key in it, that can not be read.
type secretError struct{ error }

// look logs in and reads what the status shows.
func (r *Reconciler) look(ctx context.Context, obj *v1alpha1.Database) (postgres.Identity, error) {
	uri, err := secretkey.Read(ctx, r.Live, obj.Namespace, obj.Spec.Connection.SecretRef)
	if err != nil {
		return postgres.Identity{}, secretError{err}
	}
	conn, err := postgres.Connect(ctx, uri, postgres.Options{ApplicationName: "interlock"})
	if err != nil {
		return postgres.Identity{}, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if err := postgres.CheckPrivileges(ctx, conn); err != nil {
		return postgres.Identity{}, err
	}
	return postgres.ReadIdentity(ctx, conn)
}

// summarise computes the status and returns when to look again.
func summarise(obj *v1alpha1.Database, seen postgres.Identity, err error) time.Duration {
	obj.Status.ObservedGeneration = obj.Generation
	if at, ok := fluxmeta.ReconcileAnnotationValue(obj.Annotations); ok {
		obj.Status.LastHandledReconcileAt = at
	}
	if err != nil {
		reason := reasonOf(err)
		conditions.MarkReconciling(obj, reason, "%v", err)
		conditions.MarkFalse(obj, v1alpha1.ReadyCondition, reason, "%v", err)
		return sickInterval
	}
	seen.ServerVersion, _, _ = strings.Cut(seen.ServerVersion, " ") // distributions add their own to it
	obj.Status.ServerVersion = seen.ServerVersion
	obj.Status.SystemIdentifier = seen.SystemIdentifier
	obj.Status.Timeline = seen.Timeline
	conditions.Delete(obj, v1alpha1.ReconcilingCondition)
	conditions.MarkTrue(obj, v1alpha1.ReadyCondition, ReasonReachable, "%s", reachable(obj, seen))
	return wellInterval
}

func reachable(obj *v1alpha1.Database, seen postgres.Identity) string {
	text := fmt.Sprintf("PostgreSQL %s answers, and every session can be seen", seen.ServerVersion)
	if len(obj.Spec.Readers.Secrets) == 0 {
		text += "; spec.readers.secrets is empty, so every container of a bundle counts as a reader"
	}
	return text
}

func reasonOf(err error) string {
	if errors.As(err, new(secretError)) {
		return ReasonSecretNotFound
	}
	if reason := postgres.ReasonOf(err); reason != "" {
		return string(reason)
	}
	return ReasonUnreachable
}

func (r *Reconciler) emitEvent(obj *v1alpha1.Database, before *metav1.Condition) {
	now := conditions.Get(obj, v1alpha1.ReadyCondition)
	if before != nil && before.Status == now.Status && before.Reason == now.Reason {
		return
	}
	kind := corev1.EventTypeNormal
	if now.Status != metav1.ConditionTrue {
		kind = corev1.EventTypeWarning
	}
	r.Recorder.Event(obj, kind, now.Reason, now.Message)
}
