package apply

import (
	"errors"
	"strings"
	"testing"

	ssaerrors "github.com/fluxcd/pkg/ssa/errors"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

func thing(apiVersion, kind, namespace, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion(apiVersion)
	u.SetKind(kind)
	u.SetNamespace(namespace)
	u.SetName(name)
	return u
}

func TestStageOf(t *testing.T) {
	tests := map[string]struct {
		apiVersion, kind string
		want             Stage
	}{
		"Namespace":                {"v1", "Namespace", StageDefinitions},
		"CustomResourceDefinition": {"apiextensions.k8s.io/v1", "CustomResourceDefinition", StageDefinitions},
		"ClusterRole":              {"rbac.authorization.k8s.io/v1", "ClusterRole", StageDefinitions},
		"ConfigMap":                {"v1", "ConfigMap", StageConfig},
		"Service":                  {"v1", "Service", StageConfig},
		"ServiceAccount":           {"v1", "ServiceAccount", StageConfig},
		"somebody's kind":          {"example.test/v1", "Thing", StageConfig},
		"Deployment":               {"apps/v1", "Deployment", StageWorkloads},
		"CronJob":                  {"batch/v1", "CronJob", StageWorkloads},
		"Job":                      {"batch/v1", "Job", StageWorkloads},
		"Pod":                      {"v1", "Pod", StageWorkloads},
		"Ingress":                  {"networking.k8s.io/v1", "Ingress", StageIngress},
		"somebody's Ingress":       {"example.test/v1", "Ingress", StageConfig},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := StageOf(thing(tt.apiVersion, tt.kind, "ns", "x")); got != tt.want {
				t.Errorf("stage %d, want %d", got, tt.want)
			}
		})
	}
}

func ids(entries []v1alpha1.InventoryEntry) string {
	var out []string
	for _, e := range entries {
		out = append(out, e.ID+"@"+e.Version)
	}
	return strings.Join(out, " ")
}

func TestInventory(t *testing.T) {
	objects := []*unstructured.Unstructured{
		thing("apps/v1", "Deployment", "ns", "b"), thing("v1", "ConfigMap", "ns", "a"), thing("rbac.authorization.k8s.io/v1", "ClusterRole", "", "sys:tem"),
	}
	all := Inventory(objects)
	if got, want := ids(all), "_sys__tem_rbac.authorization.k8s.io_ClusterRole@v1 ns_a__ConfigMap@v1 ns_b_apps_Deployment@v1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for i, e := range all {
		u := stub(e)
		if back := Inventory([]*unstructured.Unstructured{u}); back[0] != all[i] {
			t.Errorf("%v came back as %v", e, back[0])
		}
	}
	if stub(v1alpha1.InventoryEntry{ID: "rubbish", Version: "v1"}) != nil {
		t.Error("rubbish is taken for an object")
	}
	old := []v1alpha1.InventoryEntry{{ID: "ns_a__ConfigMap", Version: "v0"}, {ID: "ns_c__ConfigMap", Version: "v1"}}
	if got, want := ids(Union(old, all[1:2])), "ns_a__ConfigMap@v1 ns_c__ConfigMap@v1"; got != want {
		t.Errorf("union %s, want %s", got, want)
	}
	if got, want := ids(Without(old, all)), "ns_c__ConfigMap@v1"; got != want {
		t.Errorf("left over %s, want %s", got, want)
	}
	if got, want := ids(inReverse(append(all, Inventory([]*unstructured.Unstructured{thing("networking.k8s.io/v1", "Ingress", "ns", "i"), thing("v1", "Namespace", "", "n")})...))),
		"ns_i_networking.k8s.io_Ingress@v1 ns_b_apps_Deployment@v1 ns_a__ConfigMap@v1 _sys__tem_rbac.authorization.k8s.io_ClusterRole@v1 _n__Namespace@v1"; got != want {
		t.Errorf("deleted in the order %s, want %s", got, want)
	}
}

func TestExplain(t *testing.T) {
	cannot := apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "a", errors.New(`User "u" cannot create resource "configmaps"`))
	policy := apierrors.NewForbidden(schema.GroupResource{Resource: "deployments"}, "a", errors.New("ValidatingAdmissionPolicy 'x' denied request: interlock: fence: shop@1 is below 5"))
	invalid := apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, "a", nil)
	invalid.ErrStatus.Message = "data: Invalid value: s3cret"
	tests := map[string]struct {
		as         Identity
		err        error
		wantReason Reason
		want       string
		wantNot    string
	}{
		"a tenant may not":           {Identity{"ns", "shop"}, cannot, Forbidden, `give ServiceAccount "shop" in namespace "ns" the right to`, ""},
		"the operator may not":       {Identity{}, cannot, Forbidden, "name a service account that may", ""},
		"a policy refuses":           {Identity{"ns", "shop"}, policy, ApplyFailed, "shop@1 is below 5", "give ServiceAccount"},
		"a kind is not known":        {Identity{}, &meta.NoKindMatchError{GroupKind: schema.GroupKind{Group: "x.test", Kind: "Thing"}}, KindUnknown, "install its CustomResourceDefinition first", ""},
		"what a Secret holds is out": {Identity{}, ssaerrors.NewDryRunErr(invalid, thing("v1", "Secret", "ns", "a")), ApplyFailed, `Secret "ns/a" is refused (Invalid)`, "s3cret"},
		"anything else":              {Identity{}, errors.New("connection\n refused"), ApplyFailed, "connection refused", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var own *Error
			err := New(nil, tt.as, "shop").explain(tt.err)
			if !errors.As(err, &own) || own.Reason != tt.wantReason || !strings.Contains(own.Message, tt.want) {
				t.Errorf("got %+v, want %s: …%s…", err, tt.wantReason, tt.want)
			}
			if tt.wantNot != "" && strings.Contains(err.Error(), tt.wantNot) {
				t.Errorf("%q holds %q", err, tt.wantNot)
			}
		})
	}
}

func TestTrouble(t *testing.T) {
	waiting := func(reason, message string, last *corev1.ContainerStateTerminated) corev1.PodStatus {
		return corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "app",
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}, LastTerminationState: corev1.ContainerState{Terminated: last}}}}
	}
	tests := map[string]struct {
		status corev1.PodStatus
		want   string
	}{
		"running":          {corev1.PodStatus{}, ""},
		"just starting":    {waiting("ContainerCreating", "", nil), ""},
		"no such image":    {waiting("ErrImagePull", "manifest unknown", nil), "container app: ErrImagePull: manifest unknown"},
		"it keeps ending":  {waiting("CrashLoopBackOff", "back-off", &corev1.ContainerStateTerminated{ExitCode: 3}), "last exit code 3; see kubectl logs --previous -n ns p -c app"},
		"no node takes it": {corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/2 nodes"}}}, "Unschedulable: 0/2 nodes"},
		"an init container": {corev1.PodStatus{InitContainerStatuses: waiting("CreateContainerConfigError", `secret "x" not found`, nil).ContainerStatuses},
			`CreateContainerConfigError: secret "x" not found`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := trouble(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"}, Status: tt.status})
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestUser(t *testing.T) {
	if got := (Identity{"ns", "shop"}).User(); got != "system:serviceaccount:ns:shop" {
		t.Errorf("user %q", got)
	}
	if got := (Identity{Namespace: "ns"}).User(); got != "" {
		t.Errorf("nobody named is the operator itself, got %q", got)
	}
}
