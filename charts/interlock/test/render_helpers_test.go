package test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

const (
	chartDir  = ".."
	namespace = "interlock-system"
	// operatorUser is the service account of a release named interlock.
	operatorUser = "system:serviceaccount:interlock-system:interlock"
)

// renderFiles renders the chart as `helm template interlock` would for a cluster of that version.
func renderFiles(kubeVersion string, values map[string]any) (map[string]string, error) {
	return renderWith(engine.Render, kubeVersion, values)
}

func renderWith(
	render func(chart.Charter, common.Values) (map[string]string, error), kubeVersion string, values map[string]any,
) (map[string]string, error) {
	loaded, err := loader.LoadDir(chartDir)
	if err != nil {
		return nil, err
	}
	caps := common.DefaultCapabilities.Copy()
	version, err := common.ParseKubeVersion(kubeVersion)
	if err != nil {
		return nil, err
	}
	caps.KubeVersion = *version
	release := common.ReleaseOptions{Name: "interlock", Namespace: namespace, IsInstall: true}
	all, err := util.ToRenderValues(loaded, values, release, caps)
	if err != nil {
		return nil, err
	}
	return render(loaded, all)
}

// render returns the rendered objects, in order of file name.
func render(kubeVersion string, values map[string]any) ([]*unstructured.Unstructured, error) {
	files, err := renderFiles(kubeVersion, values)
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(files[name]), 4096)
		for {
			u := &unstructured.Unstructured{}
			if err := decoder.Decode(u); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if len(u.Object) > 0 {
				objects = append(objects, u)
			}
		}
	}
	return objects, nil
}
