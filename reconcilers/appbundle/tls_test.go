package appbundle

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

// leaf makes a certificate for hosts, in PEM.
func leaf(t *testing.T, hosts ...string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: hosts,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// installCertManager installs the kind Certificate, as cert-manager's own module has it.
func installCertManager(t *testing.T) {
	t.Helper()
	kind := filepath.Join("..", "..", ".local", "bin", "cert-manager-crds", "cert-manager.io_certificates.yaml")
	if _, err := os.Stat(kind); err != nil {
		t.Fatalf("this test needs cert-manager's definition of Certificate: %v; make it with `make components`", err)
	}
	options := envtest.CRDInstallOptions{Paths: []string{kind}, ErrorIfPathMissing: true, MaxTime: 30 * time.Second}
	if _, err := envtest.InstallCRDs(config, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { uninstall(t, options) })
}

// uninstall removes the kind, and waits until the API server has forgotten them: the test may run again.
func uninstall(t *testing.T, options envtest.CRDInstallOptions) {
	t.Helper()
	if err := envtest.UninstallCRDs(config, options); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		c, err := client.New(config, client.Options{Scheme: scheme})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.RESTMapper().RESTMapping(certificateKind.GroupKind(), certificateKind.Version); meta.IsNoMatchError(err) {
			return
		}
	}
	t.Fatal("the API server still knows the kind Certificate")
}

func (b *bench) certificate(name string) *unstructured.Unstructured {
	b.t.Helper()
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(certificateKind)
	b.get(name, u)
	return u
}

// certificateSays writes a Certificate's condition, as cert-manager does.
func (b *bench) certificateSays(name, kind, status, message string) {
	b.t.Helper()
	u := b.certificate(name)
	b.changeStatus(name, u, func() {
		u.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": kind, "status": status, "reason": "Test", "message": message,
			"observedGeneration": u.GetGeneration(), "lastTransitionTime": time.Now().UTC().Format(time.RFC3339)}}}
	})
}

func withTLS(s *v1alpha1.AppBundleSpec) {
	s.TLS = &v1alpha1.BundleTLS{IssuerRef: v1alpha1.IssuerReference{Kind: "ClusterIssuer", Name: "local"}}
}

// TestIngressGoesLast follows one bundle from a cluster without cert-manager to a served host.
func TestIngressGoesLast(t *testing.T) {
	b := newBench(t)
	revision := b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "1"), "deploy/s.yaml": serviceYAML, "deploy/i.yaml": ingressYAML})
	b.bundle(withTLS)
	waits := func(status metav1.ConditionStatus, reason, message string) {
		t.Helper()
		b.wants(b.pass(), status, reason, PhaseCertify, message)
		if !b.has("a", &corev1.ConfigMap{}) || b.has("shop", &networkingv1.Ingress{}) {
			t.Fatal("the rest waits too, or the Ingress does not")
		}
	}
	waits(metav1.ConditionFalse, ReasonCertManagerMissing, "install cert-manager")
	installCertManager(t)
	waits(metav1.ConditionUnknown, ReasonCertificateNotReady, "Certificate shop-tls for shop.example.test: cert-manager has not taken it up yet")
	u := b.certificate("shop-tls")
	issuer, _, _ := unstructured.NestedStringMap(u.Object, "spec", "issuerRef")
	hosts, _, _ := unstructured.NestedStringSlice(u.Object, "spec", "dnsNames")
	if issuer["kind"] != "ClusterIssuer" || issuer["name"] != "local" || !slices.Equal(hosts, []string{"shop.example.test"}) || !metav1.IsControlledBy(u, &v1alpha1.AppBundle{ObjectMeta: metav1.ObjectMeta{UID: b.bundleUID()}}) {
		t.Errorf("Certificate %v", u.Object)
	}
	b.certificateSays("shop-tls", "Issuing", "True", "the issuer is not ready")
	waits(metav1.ConditionUnknown, ReasonCertificateNotReady, "the issuer is not ready")
	b.certificateSays("shop-tls", "Ready", "True", "issued")
	waits(metav1.ConditionUnknown, ReasonCertificateNotReady, "its Secret is not there")
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: b.ns, Name: "shop-tls"}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: leaf(t, "other.example.test"), corev1.TLSPrivateKeyKey: []byte("x")}}
	b.create(secret)
	waits(metav1.ConditionUnknown, ReasonCertificateNotReady, "does not cover shop.example.test yet")
	b.change("shop-tls", secret, func() { secret.Data[corev1.TLSCertKey] = leaf(t, "shop.example.test") })
	obj := b.pass()
	b.wantsReady(obj, revision)
	if got := receipts(obj, revision); got != "Fetch Render Plan Certify Apply Settle Prune" {
		t.Errorf("receipts of %s", got)
	}
	ingress := &networkingv1.Ingress{}
	b.get("shop", ingress)
	if len(ingress.Spec.TLS) != 1 || ingress.Spec.TLS[0].SecretName != "shop-tls" || ingress.Spec.TLS[0].Hosts[0] != "shop.example.test" {
		t.Errorf("tls %+v", ingress.Spec.TLS)
	}

	// A certificate that fails later stops no new code, and one that nobody needs goes.
	b.certificateSays("shop-tls", "Ready", "False", "renewal failed")
	b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "2")})
	b.wants(b.pass(), metav1.ConditionUnknown, ReasonCertificateNotReady, PhaseCertify, "renewal failed")
	cm := &corev1.ConfigMap{}
	if b.get("a", cm); cm.Data["value"] != "2" {
		t.Error("the rest waited for the certificate")
	}
	revision = b.commit(map[string]string{"deploy/i.yaml": ""})
	b.wantsReady(b.pass(), revision)
	if err := b.c.Get(b.ctx, client.ObjectKeyFromObject(u), u); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("the Certificate is still there: %v", err)
	}

	// Somebody else's Certificate is not taken over.
	theirs := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"secretName": "x", "dnsNames": []any{"x.test"}, "issuerRef": map[string]any{"name": "x"}}}}
	theirs.SetGroupVersionKind(certificateKind)
	theirs.SetNamespace(b.ns)
	theirs.SetName("shop-tls")
	b.create(theirs)
	b.commit(map[string]string{"deploy/i.yaml": ingressYAML})
	b.wants(b.pass(), metav1.ConditionFalse, ReasonCertificateConflict, PhaseCertify, "does not belong to this bundle")
}

func TestCompleteTLS(t *testing.T) {
	rule := func(hosts ...string) []networkingv1.IngressRule {
		var out []networkingv1.IngressRule
		for _, h := range hosts {
			out = append(out, networkingv1.IngressRule{Host: h})
		}
		return out
	}
	tests := map[string]struct {
		rules []networkingv1.IngressRule
		tls   []networkingv1.IngressTLS
		want  string
	}{
		"none yet":                   {rule("a", "b"), nil, "web-tls:a,b"},
		"as written":                 {rule("a"), []networkingv1.IngressTLS{{Hosts: []string{"a"}, SecretName: "s"}}, "s:a"},
		"a host is not covered":      {rule("a", "b"), []networkingv1.IngressTLS{{Hosts: []string{"a"}, SecretName: "s"}}, "s:a web-tls:b"},
		"no Secret is named":         {rule("a"), []networkingv1.IngressTLS{{Hosts: []string{"a"}}}, "web-tls:a"},
		"no hosts are named":         {rule("a", "b"), []networkingv1.IngressTLS{{SecretName: "s"}}, "s:a,b"},
		"any host needs none":        {rule(""), nil, ""},
		"a host in two rules":        {rule("a", "a"), nil, "web-tls:a"},
		"a host without a rule":      {nil, []networkingv1.IngressTLS{{Hosts: []string{"x"}, SecretName: "s"}}, "s:x"},
		"neither hosts nor rules":    {nil, []networkingv1.IngressTLS{{SecretName: "s"}}, ""},
		"a wildcard is a host":       {rule("*.a"), nil, "web-tls:*.a"},
		"two entries, one each":      {rule("a", "b"), []networkingv1.IngressTLS{{Hosts: []string{"a"}, SecretName: "s"}, {Hosts: []string{"b"}, SecretName: "t"}}, "s:a t:b"},
		"a rule's host is elsewhere": {rule("b"), []networkingv1.IngressTLS{{Hosts: []string{"a"}}}, "web-tls:a web-tls:b"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, e := range completeTLS(&networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: networkingv1.IngressSpec{Rules: tt.rules, TLS: tt.tls}}) {
				got = append(got, e.SecretName+":"+strings.Join(e.Hosts, ","))
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %v, want %s", got, tt.want)
			}
		})
	}
}

func TestUncovered(t *testing.T) {
	tests := map[string]struct {
		hosts  []string
		bundle []byte
		want   string
	}{
		"covers":                {[]string{"a.test", "b.test"}, leaf(t, "b.test", "a.test"), ""},
		"a wildcard covers":     {[]string{"x.a.test"}, leaf(t, "*.a.test"), ""},
		"a wildcard is covered": {[]string{"*.a.test"}, leaf(t, "*.a.test"), ""},
		"one is missing":        {[]string{"a.test", "b.test"}, leaf(t, "a.test"), "does not cover b.test"},
		"empty":                 {[]string{"a.test"}, nil, "has no certificate"},
		"rubbish":               {[]string{"a.test"}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), "has no readable certificate"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := uncovered(certificate{"s", tt.hosts}, tt.bundle); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNotIssued(t *testing.T) {
	c := func(kind, status, message string, observed int64) any {
		return map[string]any{"type": kind, "status": status, "message": message, "observedGeneration": observed}
	}
	tests := map[string]struct {
		conditions []any
		want       string
	}{
		"nothing yet":                     {nil, "not taken it up"},
		"ready":                           {[]any{c("Ready", "True", "", 2)}, ""},
		"ready for an older spec":         {[]any{c("Ready", "True", "", 1)}, "not taken it up"},
		"not ready":                       {[]any{c("Ready", "False", "no such issuer", 2)}, "no such issuer"},
		"issuing says more":               {[]any{c("Ready", "False", "does not exist", 2), c("Issuing", "True", "waiting for the order", 2)}, "waiting for the order"},
		"issuing says more, other order":  {[]any{c("Issuing", "True", "waiting for the order", 2), c("Ready", "False", "does not exist", 2)}, "waiting for the order"},
		"ready while a renewal is issued": {[]any{c("Issuing", "True", "renewing", 2), c("Ready", "True", "", 2)}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			u := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"generation": int64(2)}, "status": map[string]any{"conditions": tt.conditions}}}
			if got := notIssued(u); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
