package test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

const kubeVersion = "v1.36.4"

var (
	cfg    *rest.Config
	scheme = runtime.NewScheme()
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return 1, err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return 1, err
	}
	assets, err := apiServerBinaries()
	if err != nil {
		return 1, err
	}
	env := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join(chartDir, "crds")},
		ErrorIfCRDPathMissing: true,
		BinaryAssetsDirectory: assets,
	}
	if cfg, err = env.Start(); err != nil {
		return 1, fmt.Errorf("the API server does not start: %w", err)
	}
	defer func() {
		if err := env.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "the API server does not stop:", err)
		}
	}()
	if err := install(context.Background()); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// apiServerBinaries returns the folder with etcd and kube-apiserver.
func apiServerBinaries() (string, error) {
	dir := os.Getenv("KUBEBUILDER_ASSETS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", ".local", "bin", "envtest")
	}
	for _, name := range []string{"etcd", "kube-apiserver"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("these tests need %s: %w; make it with `make components`, or set KUBEBUILDER_ASSETS to its folder", name, err)
		}
	}
	return filepath.Abs(dir)
}

// install does what `helm install` does, and waits until the API server judges by every policy.
func install(ctx context.Context) error {
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	if err := c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		return err
	}
	objects, err := render(kubeVersion, nil)
	if err != nil {
		return err
	}
	for _, u := range objects {
		if err := c.Create(ctx, u); err != nil {
			return fmt.Errorf("%s %s: %w", u.GetKind(), u.GetName(), err)
		}
	}
	return waitForPolicies(ctx, c)
}

// waitForPolicies asks by dry runs until each policy answers.
func waitForPolicies(ctx context.Context, c client.Client) error {
	const ns = "probe-install"
	if err := c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}); err != nil {
		return err
	}
	operator, _, err := clientFor(operatorUser)
	if err != nil {
		return err
	}
	data := params("shop", 5, 5)
	data[v1alpha1.ParamsFencedSecrets] = "shop-app"
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: v1alpha1.ParamsName}, Data: data}
	if err := operator.Create(ctx, cm); err != nil {
		return err
	}
	live := podFrom(ns, "live", stampedTemplate("5"))
	if err := eventually(ctx, func() error { return c.Create(ctx, live.DeepCopy()) }); err != nil {
		return err
	}
	relabelled := live.DeepCopy()
	relabelled.Labels[v1alpha1.StampLabel("shop")] = "6"
	return eventually(ctx, func() error {
		early := podFrom(ns, "early", stampedTemplate("6"))
		if err := c.Create(ctx, early, client.DryRunAll); err != nil {
			return err
		}
		if !gated(early) {
			return errors.New("the gate is not put on yet")
		}
		for policy, try := range map[string]error{
			"interlock-fence":     c.Create(ctx, podFrom(ns, "p", stampedTemplate("4")), client.DryRunAll),
			"interlock-live":      c.Update(ctx, relabelled.DeepCopy(), client.DryRunAll),
			"interlock-templates": c.Create(ctx, workload("Deployment", ns, "d", stampedTemplate("4")), client.DryRunAll),
			"interlock-unstamped": c.Create(ctx, podFrom(ns, "p", plainTemplate(takesByEnv)), client.DryRunAll),
			"interlock-params":    c.Delete(ctx, cm.DeepCopy(), client.DryRunAll),
		} {
			if err := mentions(try, "'"+policy+"'"); err != nil {
				return err
			}
		}
		return nil
	})
}

// eventually polls: policies and params take about a second to be seen.
func eventually(ctx context.Context, try func() error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		last = try()
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", err, last)
	}
	return nil
}
