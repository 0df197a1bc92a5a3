package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/e2e/cluster"
)

// OperatorNamespace is where the chart is installed.
const OperatorNamespace = "interlock-system"

// Env is a running cluster with Interlock, cert-manager and an ingress controller on it, and all images pushed.
type Env struct {
	Cluster *cluster.Cluster
	// Client knows Kubernetes' own kinds and Interlock's. It reads past every cache.
	Client client.Client
	Kube   kubernetes.Interface
	// Root of the repository.
	Root string
}

// Up is Start and Install.
func Up(ctx context.Context, root string, out io.Writer) (*Env, error) {
	e, err := Start(ctx, root, out)
	if err != nil {
		return nil, err
	}
	return e, e.Install(ctx, out)
}

// Start builds what is missing and starts the cluster where none runs. out gets a line for each step.
func Start(ctx context.Context, root string, out io.Writer) (*Env, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if err := buildAll(ctx, root, sayTo(out)); err != nil {
		return nil, err
	}
	c, err := cluster.Up(ctx, cluster.Options{Root: root, Nodes: 2, Out: out})
	if err != nil {
		return nil, fmt.Errorf("start the cluster: %w", err)
	}
	return attach(c, root)
}

// sayTo prints lines.
func sayTo(out io.Writer) func(format string, args ...any) {
	return func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
}

func attach(c *cluster.Cluster, root string) (*Env, error) {
	config, err := c.RESTConfig()
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	cl, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	kube, err := kubernetes.NewForConfig(config)
	return &Env{Cluster: c, Client: cl, Kube: kube, Root: root}, err
}

// Install pushes the images and installs what belongs on the cluster, all at once. Doing it again is fine, and brings
// a changed operator into a running cluster. out gets a line for each thing that is done.
func (e *Env) Install(ctx context.Context, out io.Writer) error {
	say := sayTo(out)
	timed := func(what string, f func(context.Context) error) func() error {
		return func() error {
			start := time.Now()
			if err := f(ctx); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			say("%s: done in %s", what, time.Since(start).Round(100*time.Millisecond))
			return nil
		}
	}
	g, ctx2 := errgroup.WithContext(ctx)
	ctx = ctx2
	g.Go(timed("cert-manager", e.Cluster.InstallCertManager))
	g.Go(timed("ingress controller", e.Cluster.InstallIngress))
	g.Go(timed("images of the example", e.pushExample))
	g.Go(timed("Interlock, from its chart", e.installChart))
	return g.Wait()
}

// Down takes the cluster down, and forgets the working trees of the repositories that went with it.
func Down(ctx context.Context, root string, out io.Writer) error {
	return errors.Join(cluster.Down(ctx, root, out), os.RemoveAll(filepath.Join(root, ".local", "e2e")))
}

// Kubectl is the kubectl of the cluster.
func (e *Env) Kubectl() string { return filepath.Join(e.Cluster.BinDir(), "kubectl") }
