package appbundle

import (
	"context"
	"sync"
	"time"

	fluxmeta "github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/jitter"
	"github.com/fluxcd/pkg/runtime/predicates"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/reconcilers/internal/gitsource"
	"github.com/interlock-dev/interlock/reconcilers/internal/stamps"
	"github.com/interlock-dev/interlock/reconcilers/internal/statuswriter"
)

// Reconciler reconciles AppBundles.
//
// +kubebuilder:rbac:groups=interlock.dev,resources=appbundles,verbs=get;list;watch;update;patch
// +kubebuilder:rbac:groups=interlock.dev,resources=appbundles/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=interlock.dev,resources=databases,verbs=get;list;watch
// +kubebuilder:rbac:groups=interlock.dev,resources=schemamigrations,verbs=get;list;watch;create;update;patch;delete
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get;list;create;update;patch;delete
// +kubebuilder:rbac:groups="",resources=secrets;namespaces,verbs=get
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch
// +kubebuilder:rbac:groups="",resources=serviceaccounts,verbs=impersonate
// +kubebuilder:rbac:groups=apps,resources=deployments;replicasets;statefulsets;daemonsets,verbs=get
// +kubebuilder:rbac:groups=batch,resources=jobs;cronjobs,verbs=get
// +kubebuilder:rbac:groups="",resources=replicationcontrollers,verbs=get
// +kubebuilder:rbac:groups=cert-manager.io,resources=certificates,verbs=get;list;create;update;patch;delete
type Reconciler struct {
	// Client reads through the cache and writes.
	Client client.Client
	// Live reads past the cache.
	Live client.Reader
	// Config is how clients are made that act as a bundle's service account.
	Config *rest.Config
	// Recorder of events.
	Recorder record.EventRecorder
	// Clock of timeouts and receipts.
	Clock clock.Clock
	// StoragePath is a folder for cached clones; it may vanish at any time.
	StoragePath string
	// DefaultServiceAccount is who bundles act as that name nobody, in their own namespace; empty: the operator.
	DefaultServiceAccount string
	// Images remembers for which versions images were built; nil: the journal in each database.
	Images stamps.Store

	once   sync.Once
	source *gitsource.Store
	memory *memory
}

// How soon a pass that waits is followed by the next one.
const (
	soon = 2 * time.Second
	// remoteAge is how old the remote's answer may be while a pass waits for something else.
	remoteAge = 10 * time.Second
)

// setup makes what is kept between passes; all of it may be lost at any time.
func (r *Reconciler) setup() {
	r.once.Do(func() {
		r.source = gitsource.New(r.StoragePath, r.Clock)
		r.memory = newMemory()
		if r.Images == nil {
			r.Images = stamps.Journal{Live: r.Live}
		}
	})
}

// SetupWithManager registers the reconciler.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, concurrent int) error {
	r.setup()
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.AppBundle{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, predicates.ReconcileRequestedPredicate{}))).
		Owns(&v1alpha1.SchemaMigration{}, builder.WithPredicates(predicate.Funcs{UpdateFunc: schemaMoved})).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrent}).
		Complete(r)
}

// schemaMoved lets through what a bundle shows or waits for; progress within a step is not among it.
func schemaMoved(e event.UpdateEvent) bool {
	before, ok1 := e.ObjectOld.(*v1alpha1.SchemaMigration)
	after, ok2 := e.ObjectNew.(*v1alpha1.SchemaMigration)
	if !ok1 || !ok2 {
		return false
	}
	a, b := before.Status, after.Status
	return before.Generation != after.Generation || a.ObservedGeneration != b.ObservedGeneration || a.Phase != b.Phase ||
		a.WaitingOn != b.WaitingOn || a.ReadyVersion != b.ReadyVersion || a.TargetVersion != b.TargetVersion ||
		a.Fence != b.Fence || !equality.Semantic.DeepEqual(a.Conditions, b.Conditions)
}

// Reconcile does one pass over an AppBundle. It never waits: what takes long is looked at again in the next pass.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	r.setup()
	obj := &v1alpha1.AppBundle{}
	if err := r.Client.Get(ctx, req.NamespacedName, obj); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if obj.DeletionTimestamp.IsZero() && controllerutil.AddFinalizer(obj, v1alpha1.Finalizer) {
		// It goes on at once: a finalizer changes no generation, so no event would follow.
		if err := r.Client.Update(ctx, obj); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
	}
	s := &scope{obj: obj, before: obj.DeepCopy(), status: statuswriter.New(r.Client, r.Live, obj,
		func(b *v1alpha1.AppBundle) any { return b.Status })}
	var err error
	if obj.DeletionTimestamp.IsZero() {
		err = r.runPhases(ctx, s)
	} else {
		var gone bool
		if gone, err = r.finalize(ctx, s); gone {
			return ctrl.Result{}, err
		}
	}
	r.summarise(s, err)
	if patchErr := s.status.Write(ctx, s.obj); patchErr != nil {
		return ctrl.Result{}, client.IgnoreNotFound(patchErr)
	}
	r.emitEvents(s)
	return ctrl.Result{RequeueAfter: s.after}, nil
}

// runPhases runs the phases in order until one of them ends the pass.
func (r *Reconciler) runPhases(ctx context.Context, s *scope) error {
	if s.obj.Spec.Suspend {
		return r.suspend(ctx, s)
	}
	for _, phase := range []struct {
		name string
		run  func(context.Context, *scope) error
	}{
		{PhaseFetch, r.fetch},
		{PhaseRender, r.render},
		{PhaseCheck, r.readSeries},
		{PhaseCheck, r.check},
		{PhasePlan, r.stamp},
		{PhasePlan, r.plan},
		{PhaseExpand, r.announce},
		{PhaseExpand, r.expand},
		{PhaseCertify, r.requestCertificates},
		{PhaseApply, r.applyWorkloads},
		{PhaseCertify, r.awaitCertificates},
		{PhaseApply, r.applyIngress},
		{PhaseSettle, r.settle},
		{PhasePrune, r.prune},
		{PhaseContract, r.contract},
	} {
		s.enter(phase.name, r.Clock.Now())
		if err := phase.run(ctx, s); err != nil {
			return err
		}
	}
	if s.contracted == nil || s.contracted.Status == "True" {
		s.phase = PhaseDone
	}
	return nil
}

// interval is when to look again at a bundle that is done, spread so that not all come at once.
func (s *scope) interval() time.Duration {
	return jitter.Percent(0.05, nil)(max(s.obj.Spec.Interval.Duration, time.Second))
}

// asked says whether somebody wants the source to be looked at now: by annotation, or by a new spec.
func (s *scope) asked() bool {
	at, ok := fluxmeta.ReconcileAnnotationValue(s.obj.Annotations)
	return ok && at != s.obj.Status.LastHandledReconcileAt || s.obj.Generation != s.obj.Status.ObservedGeneration
}
