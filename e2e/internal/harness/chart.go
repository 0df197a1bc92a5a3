package harness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/kube"
	"helm.sh/helm/v4/pkg/storage/driver"
	"k8s.io/cli-runtime/pkg/genericclioptions"
)

const release = "interlock"

// installChart installs charts/interlock as `helm upgrade --install` does, and waits until it runs.
func (e *Env) installChart(ctx context.Context) error {
	tag, err := e.pushOperator(ctx)
	if err != nil {
		return err
	}
	dir := filepath.Join(e.Root, "charts", "interlock")
	if err := e.applyCRDs(ctx, filepath.Join(dir, "crds")); err != nil {
		return err
	}
	values := map[string]any{
		"image": map[string]any{"repository": e.Cluster.ImageRef(operatorProgram, "")[:len(e.Cluster.ImageRef(operatorProgram, ""))-1], "tag": tag},
		// What the API server of the local cluster has.
		"admission": map[string]any{"requestTimeout": "15s"},
	}
	return e.helm(ctx, dir, values)
}

// applyCRDs brings them up to date: Helm itself only ever creates them.
func (e *Env) applyCRDs(ctx context.Context, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no CRDs in %s (%w)", dir, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if err := e.Cluster.Apply(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

func (e *Env) helm(ctx context.Context, dir string, values map[string]any) error {
	kubeconfig, namespace := e.Cluster.KubeconfigPath(), OperatorNamespace
	getter := genericclioptions.NewConfigFlags(false)
	getter.KubeConfig, getter.Namespace = &kubeconfig, &namespace
	config := action.NewConfiguration(action.ConfigurationSetLogger(slog.DiscardHandler))
	if err := config.Init(getter, namespace, "secret"); err != nil {
		return err
	}
	chart, err := loader.LoadDir(dir)
	if err != nil {
		return err
	}
	_, err = config.Releases.Last(release)
	switch {
	case errors.Is(err, driver.ErrReleaseNotFound):
		install := action.NewInstall(config)
		install.ReleaseName, install.Namespace, install.CreateNamespace = release, namespace, true
		install.WaitStrategy, install.Timeout, install.SkipCRDs = kube.StatusWatcherStrategy, 3*time.Minute, true
		_, err = install.RunWithContext(ctx, chart, values)
	case err == nil:
		upgrade := action.NewUpgrade(config)
		upgrade.Namespace, upgrade.SkipCRDs, upgrade.ForceConflicts = namespace, true, true
		upgrade.WaitStrategy, upgrade.Timeout = kube.StatusWatcherStrategy, 3*time.Minute
		_, err = upgrade.RunWithContext(ctx, release, chart, values)
	}
	return err
}
