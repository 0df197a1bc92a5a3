package render

import (
	"io/fs"
	"path"
	"strings"
	"sync"

	fluxkustomize "github.com/fluxcd/pkg/kustomize"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	kustypes "sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// buildMutex: Kustomize keeps global state (its OpenAPI schema) and does not stand two builds at once.
var buildMutex sync.Mutex

// kustomizationIn returns the kustomization file of a folder; "" if there is none.
func kustomizationIn(fsys fs.FS, dir string) string {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		full := path.Join(dir, name)
		if info, err := fs.Stat(fsys, full); err == nil && !info.IsDir() {
			return full
		}
	}
	return ""
}

// renderKustomize builds a kustomization. It sees the tree and nothing else.
func renderKustomize(fsys fs.FS, dir string) (Result, error) {
	inspection := inspection{fsys: fsys, seen: map[string]bool{}}
	if err := inspection.folder(dir, false); err != nil {
		return Result{}, err
	}
	outside := false
	built, err := build(kustomizeFS{tree: fsys, root: dir, outside: &outside}, path.Join("/", dir), inspection.openAPI)
	if err != nil {
		return Result{}, fail(BuildFailed, "%s does not build: %s", kustomizationIn(fsys, dir), tidy(err))
	}
	result := Result{Kustomize: true, Outside: outside}
	for _, r := range built.Resources() {
		// By way of JSON: Kustomize holds numbers as int, which unstructured objects can not copy.
		b, err := r.MarshalJSON()
		if err != nil {
			return Result{}, fail(BuildFailed, "%s: %w", r.CurId(), err)
		}
		u := &unstructured.Unstructured{}
		if err := u.UnmarshalJSON(b); err != nil {
			return Result{}, fail(BuildFailed, "%s: %w", r.CurId(), err)
		}
		if err := wellFormed(u); err != nil {
			return Result{}, fail(BuildFailed, "%s: %w", r.CurId(), err)
		}
		result.Objects = append(result.Objects, u)
	}
	return result, nil
}

// build runs Kustomize without plugins. It panics on some invalid input, which is an error like any other.
func build(tree filesys.FileSystem, dir string, openAPI bool) (built resmap.ResMap, err error) {
	buildMutex.Lock()
	defer buildMutex.Unlock()
	if openAPI {
		// A kustomization that brings a schema of its own would leave it to the next build. Here every build starts
		// with a fresh schema, which makes it fifty times slower.
		return fluxkustomize.Build(tree, dir)
	}
	defer func() {
		if r := recover(); r != nil {
			err = fail(BuildFailed, "Kustomize gives up on it: %v", r)
		}
	}()
	return krusty.MakeKustomizer(&krusty.Options{
		LoadRestrictions: kustypes.LoadRestrictionsNone,
		PluginConfig:     kustypes.DisabledPluginConfig(),
	}).Run(tree, dir)
}

// tidy makes Kustomize's nested errors fit into a condition.
func tidy(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > 600 {
		text = strings.ToValidUTF8(text[:600], "") + "…"
	}
	return text
}
