package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/migrations/schema/compat"
	"github.com/interlock-dev/interlock/reconcilers/appbundle"
	"github.com/interlock-dev/interlock/reconcilers/database"
	"github.com/interlock-dev/interlock/reconcilers/schemamigration"
)

// controllerOptions are the flags of "interlock controller".
type controllerOptions struct {
	metricsAddr, probeAddr string
	leaderElect            bool
	storagePath            string
	requestTimeout         time.Duration
	defaultServiceAccount  string
	concurrent             int
	logLevel               string
	watchNamespaces        []string
}

func newControllerCommand() *cobra.Command {
	o := controllerOptions{}
	cmd := &cobra.Command{
		Use:   "controller",
		Short: "Run the operator",
		Long: `Runs the reconcilers of AppBundle, Database and SchemaMigration until it is told to stop. With
--leader-elect several replicas may run; one of them works.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runController(cmd, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.metricsAddr, "metrics-bind-address", ":8080", "address of the metrics endpoint; 0 turns it off")
	f.StringVar(&o.probeAddr, "health-probe-bind-address", ":8081", "address of /healthz and /readyz")
	f.BoolVar(&o.leaderElect, "leader-elect", false, "work only while holding the leader election lease")
	f.StringVar(&o.storagePath, "storage-path", "/data", "folder for cached Git clones; it may vanish at any time")
	f.DurationVar(&o.requestTimeout, "api-request-timeout", time.Minute,
		"how long the fence waits for requests that were admitted before it stood; at least the API servers' --request-timeout")
	f.StringVar(&o.defaultServiceAccount, "default-service-account", "",
		"service account, in a bundle's namespace, to act as for bundles that name none; empty: the operator itself")
	f.IntVar(&o.concurrent, "concurrent", 8, "how many objects of a kind are worked on at the same time")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info or error")
	f.StringSliceVar(&o.watchNamespaces, "watch-namespaces", nil, "namespaces to work in; empty: all of them")
	return cmd
}

func runController(cmd *cobra.Command, o controllerOptions) error {
	level, err := logLevel(o.logLevel)
	if err != nil {
		return err
	}
	ctrl.SetLogger(zap.New(zap.Level(level), zap.UseDevMode(false)))
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("no cluster to talk to: %w; run it in a pod, or set KUBECONFIG", err)
	}
	config.QPS, config.Burst = 100, 200
	mgr, err := newManager(config, o)
	if err != nil {
		return err
	}
	if err := setupReconcilers(mgr, o); err != nil {
		return err
	}
	return mgr.Start(cmd.Context())
}

func newManager(config *rest.Config, o controllerOptions) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		Metrics:                       metricsserver.Options{BindAddress: o.metricsAddr},
		HealthProbeBindAddress:        o.probeAddr,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              "interlock.interlock.dev",
		LeaderElectionReleaseOnCancel: true,
		Cache:                         cacheOptions(o.watchNamespaces),
		// Secrets and ConfigMaps are read by name, past the cache: it would hold everybody's.
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}}}},
	})
	if err != nil {
		return nil, err
	}
	if err := mgr.AddHealthzCheck("sql-parser", func(*http.Request) error { return compat.Healthy() }); err != nil {
		return nil, err
	}
	return mgr, mgr.AddReadyzCheck("caches", readyWhenSynced(mgr))
}

func cacheOptions(namespaces []string) cache.Options {
	stamped := labels.NewSelector()
	if r, err := labels.NewRequirement(v1alpha1.StampedLabel, "exists", nil); err == nil {
		stamped = stamped.Add(*r)
	}
	options := cache.Options{ByObject: map[client.Object]cache.ByObject{&corev1.Pod{}: {Label: stamped}}}
	for _, ns := range namespaces {
		if options.DefaultNamespaces == nil {
			options.DefaultNamespaces = map[string]cache.Config{}
		}
		options.DefaultNamespaces[ns] = cache.Config{}
	}
	return options
}

func setupReconcilers(mgr ctrl.Manager, o controllerOptions) error {
	if err := (&database.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorderFor("interlock"), Clock: clock.RealClock{},
	}).SetupWithManager(mgr, o.concurrent); err != nil {
		return fmt.Errorf("databases: %w", err)
	}
	if err := (&schemamigration.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Config: mgr.GetConfig(), Recorder: mgr.GetEventRecorderFor("interlock"),
		Clock: clock.RealClock{}, RequestTimeout: o.requestTimeout,
	}).SetupWithManager(mgr, o.concurrent); err != nil {
		return fmt.Errorf("schema migrations: %w", err)
	}
	if err := (&appbundle.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Config: mgr.GetConfig(), Recorder: mgr.GetEventRecorderFor("interlock"),
		Clock: clock.RealClock{}, StoragePath: o.storagePath, DefaultServiceAccount: o.defaultServiceAccount,
	}).SetupWithManager(mgr, o.concurrent); err != nil {
		return fmt.Errorf("app bundles: %w", err)
	}
	return nil
}
