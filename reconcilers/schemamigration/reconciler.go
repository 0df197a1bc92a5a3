package schemamigration

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/reconcilers/internal/statuswriter"
)

// Reconciler reconciles SchemaMigrations.
//
// +kubebuilder:rbac:groups=interlock.dev,resources=schemamigrations;databases,verbs=get;list;watch;update;patch
// +kubebuilder:rbac:groups=interlock.dev,resources=schemamigrations/status,verbs=get;update;patch
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get;list;watch;create;update
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups="",resources=podtemplates,verbs=create
// +kubebuilder:rbac:groups=discovery.k8s.io,resources=endpointslices,verbs=list
// +kubebuilder:rbac:groups=apps,resources=deployments;replicasets;statefulsets;daemonsets,verbs=list
// +kubebuilder:rbac:groups=batch,resources=jobs;cronjobs,verbs=list
type Reconciler struct {
	// Client reads through the cache and writes.
	Client client.Client
	// Live reads past the cache, consistently.
	Live client.Reader
	// Config is how the fence's proof talks to each API server.
	Config *rest.Config
	// Recorder of events.
	Recorder record.EventRecorder
	// Clock of everything that is not timed by the database.
	Clock clock.Clock
	// RequestTimeout is how long the API servers let a request live (their --request-timeout): a request that
	// was admitted before the fence stood is over after that.
	RequestTimeout time.Duration
}

// settled is how often a SchemaMigration that has nothing to do is looked at.
const settled = time.Minute

// SetupWithManager registers the reconciler.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, concurrent int) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.SchemaMigration{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}))).
		Watches(&v1alpha1.Database{}, handler.EnqueueRequestsFromMapFunc(r.forDatabase), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesMetadata(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(r.forConfigMap)).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(r.forGatedPod)).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrent}).
		Complete(r)
}

// Reconcile does one pass over a SchemaMigration.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	obj := &v1alpha1.SchemaMigration{}
	if err := r.Client.Get(ctx, req.NamespacedName, obj); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !obj.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.finalize(ctx, obj)
	}
	if controllerutil.AddFinalizer(obj, v1alpha1.Finalizer) {
		if err := r.Client.Update(ctx, obj); err != nil {
			return ctrl.Result{}, err
		}
	}
	s := &scope{obj: obj, before: obj.DeepCopy(), status: statuswriter.New(r.Client, r.Live, obj,
		func(m *v1alpha1.SchemaMigration) any { return m.Status })}
	defer s.close()
	err := r.runPhases(ctx, s)
	r.summarise(s, err)
	if patchErr := s.status.Write(ctx, s.obj); patchErr != nil {
		return ctrl.Result{}, client.IgnoreNotFound(patchErr)
	}
	r.emitEvents(s)
	return ctrl.Result{RequeueAfter: s.after}, nil
}

// runPhases runs the phases in order until one of them ends the pass.
func (r *Reconciler) runPhases(ctx context.Context, s *scope) error {
	for _, phase := range []func(context.Context, *scope) error{
		r.readDatabase,
		r.claimSeries,
		r.loadSource,
		r.connect,
		r.decide,
		r.publish,
		r.migrate,
		r.settleFence,
		r.contract,
	} {
		if err := phase(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reconciler) forDatabase(ctx context.Context, o client.Object) []ctrl.Request {
	return r.selectRequests(ctx, o.GetNamespace(), func(m *v1alpha1.SchemaMigration) bool { return m.Spec.DatabaseRef.Name == o.GetName() })
}

func (r *Reconciler) forConfigMap(ctx context.Context, o client.Object) []ctrl.Request {
	if o.GetName() == v1alpha1.ParamsName || o.GetName() == v1alpha1.ParamsAuditName {
		return r.selectRequests(ctx, o.GetNamespace(), func(*v1alpha1.SchemaMigration) bool { return true })
	}
	return r.selectRequests(ctx, o.GetNamespace(), func(m *v1alpha1.SchemaMigration) bool {
		return m.Spec.ConfigMapRef != nil && m.Spec.ConfigMapRef.Name == o.GetName()
	})
}

func (r *Reconciler) forGatedPod(ctx context.Context, o client.Object) []ctrl.Request {
	p, ok := o.(*corev1.Pod)
	if !ok || gated(p) < 0 {
		return nil
	}
	return r.selectRequests(ctx, o.GetNamespace(), func(m *v1alpha1.SchemaMigration) bool {
		_, ok := p.Labels[v1alpha1.StampLabel(m.Spec.Series)]
		return ok
	})
}

func (r *Reconciler) selectRequests(ctx context.Context, namespace string, want func(*v1alpha1.SchemaMigration) bool) []ctrl.Request {
	list := &v1alpha1.SchemaMigrationList{}
	if err := r.Client.List(ctx, list, client.InNamespace(namespace)); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "SchemaMigrations can not be listed", "namespace", namespace)
		return nil
	}
	var out []ctrl.Request
	for i := range list.Items {
		if want(&list.Items[i]) {
			out = append(out, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return out
}
