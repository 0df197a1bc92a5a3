package render

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

// tree makes a file system of name, content pairs.
func tree(pairs ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		fsys[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return fsys
}

func configMap(name string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\n"
}

const deploymentYAML = `apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec: {template: {spec: {containers: [{name: shop, image: shop}]}}}
`

func names(objects []*unstructured.Unstructured) string {
	var out []string
	for _, u := range objects {
		out = append(out, u.GetKind()+"/"+u.GetName())
	}
	return strings.Join(out, " ")
}

func TestRender(t *testing.T) {
	tests := map[string]struct {
		tree        fs.FS
		path        string
		want        string
		wantOutside bool
		wantReason  Reason
		wantErr     string
	}{
		"plain, every file below, in order": {
			tree: tree("deploy/b.yaml", configMap("b"), "deploy/a/c.yml", configMap("c")+"---\n"+configMap("d"), "deploy/README.md", "x: [", "other/x.yaml", configMap("x")),
			path: "./deploy", want: "ConfigMap/c ConfigMap/d ConfigMap/b",
		},
		"the whole repository":      {tree: tree("a.yaml", configMap("a")), path: "", want: "ConfigMap/a"},
		"a path with a slash":       {tree: tree("deploy/a.yaml", configMap("a")), path: "/deploy/", want: "ConfigMap/a"},
		"hidden folders are none":   {tree: tree("a.yaml", configMap("a"), ".github/b.yaml", "on: push"), path: ".", want: "ConfigMap/a"},
		"empty documents":           {tree: tree("a.yaml", "---\n# nothing\n---\n"+configMap("a")+"---\n"), path: ".", want: "ConfigMap/a"},
		"a list is unfolded":        {tree: tree("a.yaml", "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n"), path: ".", want: "ConfigMap/a"},
		"no folder":                 {tree: tree("a.yaml", configMap("a")), path: "deploy", wantReason: PathNotFound, wantErr: `no folder "deploy"`},
		"a file":                    {tree: tree("a.yaml", configMap("a")), path: "a.yaml", wantReason: PathNotFound, wantErr: "is a file"},
		"out of the repository":     {tree: tree("a.yaml", configMap("a")), path: "../other", wantReason: PathNotFound, wantErr: "leads out of the repository"},
		"out by a detour":           {tree: tree("a.yaml", configMap("a")), path: "deploy/../../etc", wantReason: PathNotFound, wantErr: "leads out of the repository"},
		"not YAML, with the line":   {tree: tree("deploy/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n data: x\n"), path: "deploy", wantReason: BuildFailed, wantErr: "deploy/a.yaml:5:"},
		"not YAML, second document": {tree: tree("deploy/a.yaml", configMap("a")+"---\nkey: [\n"), path: "deploy", wantReason: BuildFailed, wantErr: "deploy/a.yaml:"},
		"a key twice":               {tree: tree("a.yaml", configMap("a")+"data: {x: a, x: b}\n"), path: ".", wantReason: BuildFailed, wantErr: `a.yaml:1: key "x" already set`},
		"no object":                 {tree: tree("a.yaml", "# one\n\n- a\n- b\n"), path: ".", wantReason: BuildFailed, wantErr: "a.yaml:3: is no Kubernetes object"},
		"no kind":                   {tree: tree("a.yaml", configMap("a")+"---\napiVersion: v1\nmetadata: {name: b}\n"), path: ".", wantReason: BuildFailed, wantErr: "a.yaml:6: is no Kubernetes object: apiVersion or kind is missing"},
		"no name":                   {tree: tree("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n"), path: ".", wantReason: BuildFailed, wantErr: "has no metadata.name"},
		"a label that is a number":  {tree: tree("a.yaml", configMap("a")+"  labels: {version: 1}\n"), path: ".", wantReason: BuildFailed, wantErr: "metadata.labels is not a text; put it in quotes"},
		"a bad apiVersion":          {tree: tree("a.yaml", "apiVersion: a/b/c\nkind: X\nmetadata: {name: a}\n"), path: ".", wantReason: BuildFailed, wantErr: "not group/version"},
		"kustomize": {
			tree: tree("deploy/kustomization.yaml", "resources: [d.yaml]\nimages: [{name: shop, newName: r/shop, newTag: '2'}]\n", "deploy/d.yaml", deploymentYAML, "deploy/not-listed.yaml", configMap("x")),
			path: "deploy", want: "Deployment/shop",
		},
		"kustomize with a base outside the path": {
			tree: tree("apps/prod/kustomization.yml", "resources: [../base]\nnamePrefix: prod-\n", "apps/base/kustomization.yaml", "resources: [a.yaml]\n", "apps/base/a.yaml", configMap("a")),
			path: "apps/prod", want: "ConfigMap/prod-a", wantOutside: true,
		},
		"kustomize with generators and patches": {
			tree: tree("deploy/Kustomization", "resources: [d.yaml]\nconfigMapGenerator: [{name: c, files: [x=conf/x.txt], envs: [e.env]}]\ngeneratorOptions: {disableNameSuffixHash: true}\npatches: [{path: p.yaml}]\n",
				"deploy/d.yaml", deploymentYAML, "deploy/conf/x.txt", "text", "deploy/e.env", "A=b\n", "deploy/p.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop}\nspec: {replicas: 3}\n"),
			path: "deploy", want: "Deployment/shop ConfigMap/c",
		},
		"kustomize with a component": {
			tree: tree("deploy/kustomization.yaml", "resources: [a.yaml]\ncomponents: [../c]\n", "deploy/a.yaml", configMap("a"),
				"c/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnameSuffix: -c\n"),
			path: "deploy", want: "ConfigMap/a-c", wantOutside: true,
		},
		"kustomize at the root": {tree: tree("kustomization.yaml", "resources: [a.yaml]\n", "a.yaml", configMap("a")), path: "./", want: "ConfigMap/a"},
		"kustomize: a resource is missing": {
			tree: tree("deploy/kustomization.yaml", "resources: [gone.yaml]\n"), path: "deploy", wantReason: BuildFailed, wantErr: `deploy/kustomization.yaml: "gone.yaml" is not in this repository`,
		},
		"kustomize: nothing from the network": {
			tree: tree("deploy/kustomization.yaml", "resources: ['https://127.0.0.1:1/x.yaml']\n"), path: "deploy", wantReason: BuildFailed, wantErr: "nothing is fetched from elsewhere",
		},
		"kustomize: no remote base": {
			tree: tree("deploy/kustomization.yaml", "resources: ['github.com/a/b//c?ref=v1']\n", "deploy/github.com/a/b/c/kustomization.yaml", "resources: []\n"), path: "deploy", wantReason: BuildFailed, wantErr: "nothing is fetched from elsewhere",
		},
		"kustomize: no remote base by ssh": {
			tree: tree("deploy/kustomization.yaml", "bases: ['git@host:a/b']\n"), path: "deploy", wantReason: BuildFailed, wantErr: "nothing is fetched from elsewhere",
		},
		"kustomize: no remote file in a generator": {
			tree: tree("deploy/kustomization.yaml", "configMapGenerator: [{name: c, files: ['x=https://127.0.0.1:1/x']}]\n"), path: "deploy", wantReason: BuildFailed, wantErr: "nothing is fetched from elsewhere",
		},
		"kustomize: no remote file in a transformer": {
			tree: tree("deploy/kustomization.yaml", "resources: [a.yaml]\ntransformers: [t.yaml]\n", "deploy/a.yaml", configMap("a"),
				"deploy/t.yaml", "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: t}\npath: https://127.0.0.1:1/p.yaml\n"),
			path: "deploy", wantReason: BuildFailed, wantErr: "deploy/t.yaml: a generator or transformer with a URL",
		},
		"kustomize: no remote file in a transformer in place": {
			tree: tree("deploy/kustomization.yaml", "resources: [a.yaml]\ntransformers:\n- |-\n  apiVersion: builtin\n  kind: PatchTransformer\n  metadata: {name: t}\n  path: https://127.0.0.1:1/p.yaml\n", "deploy/a.yaml", configMap("a")),
			path: "deploy", wantReason: BuildFailed, wantErr: "nothing is fetched from elsewhere",
		},
		"kustomize: out of the repository": {
			tree: tree("deploy/kustomization.yaml", "resources: [../../etc/passwd]\n"), path: "deploy", wantReason: BuildFailed, wantErr: "not in this repository",
		},
		"kustomize: absolute":            {tree: tree("deploy/kustomization.yaml", "resources: [/etc/passwd]\n"), path: "deploy", wantReason: BuildFailed, wantErr: "not in this repository"},
		"kustomize: charts":              {tree: tree("deploy/kustomization.yaml", "helmCharts: [{name: x, repo: 'https://x'}]\n"), path: "deploy", wantReason: BuildFailed, wantErr: "helmCharts are not supported"},
		"kustomize: not YAML":            {tree: tree("deploy/kustomization.yaml", "resources:\n- a\n b: c\n"), path: "deploy", wantReason: BuildFailed, wantErr: "deploy/kustomization.yaml:"},
		"kustomize: an unknown field":    {tree: tree("deploy/kustomization.yaml", "resourcs: [a.yaml]\n"), path: "deploy", wantReason: BuildFailed, wantErr: "resourcs"},
		"kustomize: a broken resource":   {tree: tree("deploy/kustomization.yaml", "resources: [a.yaml]\n", "deploy/a.yaml", "a: [\n"), path: "deploy", wantReason: BuildFailed, wantErr: "deploy/kustomization.yaml does not build"},
		"kustomize: folders in a circle": {tree: tree("a/kustomization.yaml", "resources: [../b]\n", "b/kustomization.yaml", "resources: [../a]\n"), path: "a", wantReason: BuildFailed, wantErr: "cycle"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Render(tt.tree, tt.path)
			if tt.wantErr != "" {
				var own *Error
				if !errors.As(err, &own) || own.Reason != tt.wantReason || !strings.Contains(own.Message, tt.wantErr) {
					t.Fatalf("error %v, want %s: …%s…", err, tt.wantReason, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if names(got.Objects) != tt.want || got.Outside != tt.wantOutside {
				t.Errorf("got %q (outside %v), want %q (%v)", names(got.Objects), got.Outside, tt.want, tt.wantOutside)
			}
		})
	}
}

func TestKustomizeSetsImages(t *testing.T) {
	got, err := Render(tree("kustomization.yaml", "resources: [d.yaml]\nimages: [{name: shop, newName: r/shop, newTag: '2'}]\n", "d.yaml", deploymentYAML), ".")
	if err != nil {
		t.Fatal(err)
	}
	containers, _, _ := unstructured.NestedSlice(got.Objects[0].Object, "spec", "template", "spec", "containers")
	if image := containers[0].(map[string]any)["image"]; image != "r/shop:2" {
		t.Errorf("image %v", image)
	}
}

// TestOpenAPIDoesNotLeak: a schema that one bundle brings must not change how the next one is built.
func TestOpenAPIDoesNotLeak(t *testing.T) {
	const patchList = "resources: [d.yaml]\npatches: [{patch: \"apiVersion: example.com/v1\\nkind: Thing\\nmetadata: {name: t}\\nspec: {list: [{name: b, v: 2}]}\"}]\n"
	const thing = "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t}\nspec: {list: [{name: a, v: 1}]}\n"
	const openAPI = `{"definitions":{"com.example.v1.Thing":{"type":"object","properties":{"spec":{"type":"object","properties":{"list":{"type":"array",
"items":{"type":"object","properties":{"name":{"type":"string"}}},"x-kubernetes-patch-merge-key":"name","x-kubernetes-patch-strategy":"merge"}}}},
"x-kubernetes-group-version-kind":[{"group":"example.com","kind":"Thing","version":"v1"}]}}}`
	list := func(fsys fs.FS) int {
		t.Helper()
		got, err := Render(fsys, ".")
		if err != nil {
			t.Fatal(err)
		}
		items, _, _ := unstructured.NestedSlice(got.Objects[0].Object, "spec", "list")
		return len(items)
	}
	plain := tree("kustomization.yaml", patchList, "d.yaml", thing)
	withSchema := tree("kustomization.yaml", patchList+"openapi: {path: s.json}\n", "d.yaml", thing, "s.json", openAPI)
	if before, with, after := list(plain), list(withSchema), list(plain); before != 1 || with != 2 || after != 1 {
		t.Errorf("items before, with and after the schema: %d %d %d, want 1 2 1", before, with, after)
	}
}

func scope(gvk schema.GroupVersionKind) Scope {
	switch gvk.Kind {
	case "Namespace", "ClusterRole", "CustomResourceDefinition":
		return ScopeCluster
	case "ConfigMap", "Deployment":
		return ScopeNamespaced
	}
	return ScopeUnknown
}

func TestRefine(t *testing.T) {
	object := func(apiVersion, kind, namespace, name string) string {
		ns := ""
		if namespace != "" {
			ns = ", namespace: " + namespace
		}
		return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: %s%s}\n---\n", apiVersion, kind, name, ns)
	}
	crd := "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: things.x.test}\nspec: {group: x.test, scope: Namespaced, names: {kind: Thing}}\n---\n"
	tests := map[string]struct {
		yaml         string
		impersonated bool
		want         string
		wantErr      string
	}{
		"a namespace is filled in":                        {yaml: object("v1", "ConfigMap", "", "a"), want: "shop/a"},
		"the bundle's own namespace":                      {yaml: object("v1", "ConfigMap", "shop", "a"), want: "shop/a"},
		"another namespace":                               {yaml: object("v1", "ConfigMap", "kube-system", "a"), wantErr: `ConfigMap "kube-system/a" is not in the bundle's namespace "shop"`},
		"another namespace, as somebody":                  {yaml: object("v1", "ConfigMap", "kube-system", "a"), impersonated: true, want: "kube-system/a"},
		"no namespace at all":                             {yaml: object("rbac.authorization.k8s.io/v1", "ClusterRole", "", "a"), wantErr: "belongs to no namespace"},
		"no namespace at all, as somebody":                {yaml: object("rbac.authorization.k8s.io/v1", "ClusterRole", "x", "a"), impersonated: true, want: "/a"},
		"twice":                                           {yaml: object("v1", "ConfigMap", "", "a") + object("v1", "ConfigMap", "shop", "a"), wantErr: "is in the bundle twice"},
		"twice, in two versions":                          {yaml: object("apps/v1", "Deployment", "", "a") + object("apps/v1beta1", "Deployment", "", "a"), wantErr: "is in the bundle twice"},
		"same name, other namespaces":                     {yaml: object("v1", "ConfigMap", "a", "x") + object("v1", "ConfigMap", "b", "x"), impersonated: true, want: "a/x b/x"},
		"an unknown kind":                                 {yaml: object("x.test/v1", "Thing", "", "a"), wantErr: "install its CustomResourceDefinition first"},
		"a kind that the bundle defines":                  {yaml: object("x.test/v1", "Thing", "", "a") + crd, impersonated: true, want: "shop/a /things.x.test"},
		"what admission believes is not for bundles":      {yaml: object("v1", "ConfigMap", "", v1alpha1.ParamsName), wantErr: "is written by Interlock alone"},
		"what admission believes, in audit":               {yaml: object("v1", "ConfigMap", "", v1alpha1.ParamsAuditName), wantErr: "is written by Interlock alone"},
		"what admission believes, in another namespace":   {yaml: object("v1", "ConfigMap", "b", v1alpha1.ParamsName), impersonated: true, wantErr: "is written by Interlock alone"},
		"a kind of that name that is somebody else's one": {yaml: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: interlock-schema-x}\n", want: "shop/interlock-schema-x"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			objects, err := Parse("a.yaml", []byte(tt.yaml))
			if err != nil {
				t.Fatal(err)
			}
			err = Refine(objects, Rules{Bundle: "shop", Namespace: "shop", Impersonated: tt.impersonated, Scope: scope})
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("error %v, want %q", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, u := range objects {
				got = append(got, u.GetNamespace()+"/"+u.GetName())
				if u.GetLabels()[v1alpha1.BundleLabel] != "shop" {
					t.Errorf("%s has labels %v", u.GetName(), u.GetLabels())
				}
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %v, want %s", got, tt.want)
			}
		})
	}
}

func TestLabelValue(t *testing.T) {
	long := strings.Repeat("a", 200)
	if got := LabelValue(long); len(got) > 63 || got == LabelValue(long+"b") {
		t.Errorf("a long name became %q", got)
	}
	if LabelValue("shop") != "shop" {
		t.Error("a short name changed")
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{configMap("a"), deploymentYAML, "---\n---\n", "a: [", "- a", "{}", "apiVersion: v1\nkind: List\nitems: [{}]\n",
		"a: &a [*a]\n", "? {a: b}\n: c\n", "apiVersion: v1\nkind: ConfigMap\nmetadata: null\n", "!!binary x", "\x00", "apiVersion: v1\nkind: X\nmetadata: {name: 3}\n",
		"a: !!float .nan\napiVersion: v1\nkind: X\nmetadata: {name: a}\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		objects, err := Parse("f.yaml", data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f.yaml") {
				t.Errorf("the error does not name the file: %v", err)
			}
			return
		}
		for _, u := range objects {
			if u.GetKind() == "" || u.GetName() == "" || u.GetAPIVersion() == "" {
				t.Errorf("let through %v", u.Object)
			}
			u.DeepCopy()
		}
	})
}
