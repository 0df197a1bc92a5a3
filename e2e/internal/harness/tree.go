package harness

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/interlock-dev/interlock/examples/shop"
)

// Tree is a folder of text files by their path.
type Tree map[string]string

// place says what stands, in one namespace, for the names that the example uses.
type place struct {
	namespace, host, registry, gitURL string
	// password is what all generated ones start with.
	password string
}

// History is the tree of the shop's repository at commit 1 or 2, for this place.
func (p place) history(commit int) (Tree, error) {
	return p.tree(shop.History, fmt.Sprintf("history/%d", commit))
}

func (p place) tree(from fs.FS, dir string) (Tree, error) {
	replace := strings.NewReplacer(
		"registry.example.test", p.registry,
		"shop.example.test", p.host,
		"https://git.example.test/shop.git", p.gitURL,
		"shop-db.shop.svc", "shop-db."+p.namespace+".svc",
		"namespace: shop", "namespace: "+p.namespace,
		"change-me", p.password,
	)
	tree := Tree{}
	err := fs.WalkDir(from, dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(from, name)
		tree[strings.TrimPrefix(name, dir+"/")] = replace.Replace(string(b))
		return err
	})
	return tree, err
}

// Under is the part of the tree in a folder, with paths relative to it.
func (t Tree) Under(dir string) Tree {
	part := Tree{}
	for name, text := range t {
		if rest, ok := strings.CutPrefix(name, dir+"/"); ok {
			part[rest] = text
		}
	}
	return part
}

// render builds the kustomization in a folder of the tree, without objects of some kinds. An empty namespace
// leaves the one that the tree says.
func (t Tree) render(dir, namespace string, without ...string) ([]byte, error) {
	memory := filesys.MakeFsInMemory()
	for name, text := range t {
		if err := memory.WriteFile(path.Join("/tree", name), []byte(text)); err != nil {
			return nil, err
		}
	}
	objects, err := krusty.MakeKustomizer(&krusty.Options{PluginConfig: types.DisabledPluginConfig()}).Run(memory, path.Join("/tree", dir))
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", dir, err)
	}
	var documents []string
	for _, o := range objects.Resources() {
		if slices.Contains(without, o.GetKind()) {
			continue
		}
		if namespace != "" {
			if err := o.SetNamespace(namespace); err != nil {
				return nil, err
			}
		}
		y, err := o.AsYAML()
		if err != nil {
			return nil, err
		}
		documents = append(documents, string(y))
	}
	return []byte(strings.Join(documents, "---\n")), nil
}
