package test

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// kinds lists the rendered objects as Kind/name, or Kind/namespace/name.
func kinds(t *testing.T, version string, values map[string]any) []string {
	t.Helper()
	objects, err := render(version, values)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, u := range objects {
		name := u.GetKind() + "/" + u.GetName()
		if ns := u.GetNamespace(); ns != "" {
			name = u.GetKind() + "/" + ns + "/" + u.GetName()
		}
		out = append(out, name)
	}
	return out
}

func TestGatesNeedKubernetes136(t *testing.T) {
	tests := map[string]struct {
		version, gates string
		want           bool
	}{
		"1.36":                   {version: "v1.36.0", gates: "Auto", want: true},
		"a vendor's 1.36":        {version: "v1.36.2-gke.100", gates: "Auto", want: true},
		"1.35":                   {version: "v1.35.9", gates: "Auto"},
		"1.30":                   {version: "v1.30.0", gates: "Auto"},
		"1.35, turned on by you": {version: "v1.35.9", gates: "Enabled", want: true},
		"1.36, not wanted":       {version: "v1.36.0", gates: "Disabled"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			values := map[string]any{"admission": map[string]any{"gates": tt.gates}}
			all := kinds(t, tt.version, values)
			if got := slices.Contains(all, "MutatingAdmissionPolicy/interlock-gate"); got != tt.want {
				t.Errorf("gate rendered: %v, want %v", got, tt.want)
			}
			if !slices.Contains(all, "ValidatingAdmissionPolicy/interlock-fence") {
				t.Error("the fence is missing")
			}
			files, err := renderFiles(tt.version, values)
			if err != nil {
				t.Fatal(err)
			}
			if got := !strings.Contains(files["interlock/templates/NOTES.txt"], "Scheduling gates are off"); got != tt.want {
				t.Errorf("the notes speak of gates: %v, want %v", got, tt.want)
			}
		})
	}
}

func TestWatchedNamespacesAndBundles(t *testing.T) {
	all := kinds(t, kubeVersion, nil)
	for _, want := range []string{"ClusterRoleBinding/interlock-operator", "ClusterRole/interlock-operator"} {
		if !slices.Contains(all, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if slices.Contains(all, "ClusterRole/interlock-bundles") {
		t.Error("the operator may apply apps by itself, though rbac.bundles is none")
	}
	all = kinds(t, kubeVersion, map[string]any{
		"controller": map[string]any{"watchNamespaces": []any{"a", "b"}},
		"rbac":       map[string]any{"bundles": "namespaced"},
	})
	for _, want := range []string{"RoleBinding/a/interlock-operator", "RoleBinding/b/interlock-operator",
		"RoleBinding/a/interlock-bundles", "RoleBinding/b/interlock-bundles", "ClusterRole/interlock-bundles"} {
		if !slices.Contains(all, want) {
			t.Errorf("%s is missing", want)
		}
	}
	for _, name := range all {
		if strings.HasPrefix(name, "ClusterRoleBinding/") {
			t.Errorf("%s gives rights outside the watched namespaces", name)
		}
	}
}

func deployment(t *testing.T, values map[string]any) *appsv1.Deployment {
	t.Helper()
	objects, err := render(kubeVersion, values)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(objects, func(u *unstructured.Unstructured) bool { return u.GetKind() == "Deployment" })
	if i < 0 {
		t.Fatal("no Deployment")
	}
	d := &appsv1.Deployment{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(objects[i].Object, d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDeployment(t *testing.T) {
	d := deployment(t, map[string]any{
		"image":     map[string]any{"repository": "reg.test/interlock", "tag": "9"},
		"admission": map[string]any{"requestTimeout": "2m"},
		"controller": map[string]any{"defaultServiceAccount": "apps", "watchNamespaces": []any{"a", "b"},
			"extraArgs": []any{"--x"}},
	})
	c := d.Spec.Template.Spec.Containers[0]
	want := []string{"controller", "--leader-elect", "--storage-path=/data", "--api-request-timeout=2m", "--log-level=info",
		"--default-service-account=apps", "--watch-namespaces=a,b", "--x"}
	if !slices.Equal(c.Args, want) {
		t.Errorf("args %q, want %q", c.Args, want)
	}
	if c.Image != "reg.test/interlock:9" {
		t.Errorf("image %q", c.Image)
	}
	if *d.Spec.Replicas != 2 {
		t.Errorf("%d replicas, want 2", *d.Spec.Replicas)
	}
	digest := "sha256:" + strings.Repeat("0", 64)
	pinned := deployment(t, map[string]any{"image": map[string]any{"digest": digest}})
	if got := pinned.Spec.Template.Spec.Containers[0].Image; got != "registry.example.com/interlock@"+digest {
		t.Errorf("image %q", got)
	}
}

// The operator runs where Pod Security is restricted.
func TestPodSecurity(t *testing.T) {
	ns := newNamespace(t, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	tmpl := deployment(t, nil).Spec.Template
	admin, _ := as(t, "")
	check(t, admin.Create(t.Context(), podFrom(ns, "operator", tmpl)), "")
	if ro := tmpl.Spec.Containers[0].SecurityContext.ReadOnlyRootFilesystem; ro == nil || !*ro {
		t.Error("the root file system is writable")
	}
}

func TestSchemaRefusesBadValues(t *testing.T) {
	tests := map[string]map[string]any{
		"a misspelt key":     {"replica": 3},
		"no such gates":      {"admission": map[string]any{"gates": "Maybe"}},
		"a bare number":      {"admission": map[string]any{"requestTimeout": "60"}},
		"no such rights":     {"rbac": map[string]any{"bundles": "cluster"}},
		"a digest of no use": {"image": map[string]any{"digest": "sha256:1"}},
		"no such level":      {"controller": map[string]any{"logLevel": "verbose"}},
	}
	for name, values := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := render(kubeVersion, values); err == nil || !strings.Contains(err.Error(), "schema") {
				t.Errorf("it passed, or failed for another reason: %v", err)
			}
		})
	}
}
