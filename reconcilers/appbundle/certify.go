package appbundle

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/interlock-dev/interlock/reconcilers/internal/apply"
	"github.com/interlock-dev/interlock/reconcilers/internal/halt"
	"github.com/interlock-dev/interlock/reconcilers/internal/render"
)

// certificateKind is cert-manager's.
var certificateKind = schema.GroupVersionKind{Group: "cert-manager.io", Version: "v1", Kind: "Certificate"}

// certificate is a Secret that has to cover hosts.
type certificate struct {
	secret string
	hosts  []string
}

// planCertificates lists the certificates that the bundle's Ingresses need, and names their Secrets in the Ingresses.
func (s *scope) planCertificates() error {
	if s.obj.Spec.TLS == nil {
		return nil
	}
	provided := ownCertificates(s.objects)
	for _, u := range s.objects {
		if !apply.IsIngress(u) {
			continue
		}
		ingress := &networkingv1.Ingress{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, ingress); err != nil {
			return stall(string(render.BuildFailed), "%s can not be read: %v", render.Describe(u), err)
		}
		tls := completeTLS(ingress)
		if len(tls) == 0 {
			continue
		}
		if u.GetNamespace() != s.obj.Namespace {
			return stall(string(render.ObjectRefused), "%s is not in the bundle's namespace, where its certificate would be; move it, or take spec.tls out", render.Describe(u))
		}
		if err := writeTLS(u, tls); err != nil {
			return err
		}
		for _, t := range tls {
			if !slices.Contains(provided, t.SecretName) {
				s.certificates = addCertificate(s.certificates, certificate{t.SecretName, t.Hosts})
			}
		}
	}
	slices.SortFunc(s.certificates, func(a, b certificate) int { return cmp.Compare(a.secret, b.secret) })
	return nil
}

// ownCertificates are the Secrets of Certificates that the bundle brings itself.
func ownCertificates(objects []*unstructured.Unstructured) []string {
	var out []string
	for _, u := range objects {
		if u.GroupVersionKind().GroupKind() == certificateKind.GroupKind() {
			name, _, _ := unstructured.NestedString(u.Object, "spec", "secretName")
			out = append(out, name)
		}
	}
	return out
}

// completeTLS returns an Ingress's TLS entries so that every host of a rule is covered and every entry has a Secret.
func completeTLS(ingress *networkingv1.Ingress) []networkingv1.IngressTLS {
	var hosts []string
	for _, rule := range ingress.Spec.Rules {
		if rule.Host != "" && !slices.Contains(hosts, rule.Host) {
			hosts = append(hosts, rule.Host)
		}
	}
	covered := map[string]bool{}
	var out []networkingv1.IngressTLS
	for _, t := range ingress.Spec.TLS {
		if len(t.Hosts) == 0 {
			t.Hosts = hosts
		}
		if t.SecretName == "" {
			t.SecretName = ingress.Name + "-tls"
		}
		for _, h := range t.Hosts {
			covered[h] = true
		}
		if len(t.Hosts) > 0 {
			out = append(out, t)
		}
	}
	rest := slices.DeleteFunc(slices.Clone(hosts), func(h string) bool { return covered[h] })
	if len(rest) > 0 {
		out = append(out, networkingv1.IngressTLS{Hosts: rest, SecretName: ingress.Name + "-tls"})
	}
	return out
}

func writeTLS(u *unstructured.Unstructured, tls []networkingv1.IngressTLS) error {
	entries := make([]any, 0, len(tls))
	for _, t := range tls {
		hosts := make([]any, 0, len(t.Hosts))
		for _, h := range t.Hosts {
			hosts = append(hosts, h)
		}
		entries = append(entries, map[string]any{"hosts": hosts, "secretName": t.SecretName})
	}
	return unstructured.SetNestedSlice(u.Object, entries, "spec", "tls")
}

// addCertificate adds hosts to the certificate of a Secret.
func addCertificate(list []certificate, c certificate) []certificate {
	for i := range list {
		if list[i].secret == c.secret {
			list[i].hosts = slices.Compact(slices.Sorted(slices.Values(slices.Concat(list[i].hosts, c.hosts))))
			return list
		}
	}
	return append(list, certificate{c.secret, slices.Compact(slices.Sorted(slices.Values(c.hosts)))})
}

// requestCertificates applies a Certificate for each Secret. It does not wait: workloads may roll out meanwhile.
func (r *Reconciler) requestCertificates(ctx context.Context, s *scope) error {
	for _, c := range s.certificates {
		existing := &unstructured.Unstructured{}
		existing.SetGroupVersionKind(certificateKind)
		err := s.own.Client().Get(ctx, client.ObjectKey{Namespace: s.obj.Namespace, Name: c.secret}, existing)
		switch {
		case meta.IsNoMatchError(err):
			// Said in awaitCertificates, so that workloads do not wait for it.
			return nil
		case err != nil && !apierrors.IsNotFound(err):
			return err
		case err == nil && !metav1.IsControlledBy(existing, s.obj):
			return stall(ReasonCertificateConflict, "Certificate %q exists and does not belong to this bundle; delete it, or name another Secret in the Ingress", c.secret)
		}
		if _, err := s.own.Apply(ctx, []*unstructured.Unstructured{s.certificateFor(c)}); err != nil {
			return err
		}
	}
	return nil
}

func (s *scope) certificateFor(c certificate) *unstructured.Unstructured {
	u := s.ownedObject(certificateKind.GroupVersion().String(), certificateKind.Kind, c.secret)
	hosts := make([]any, 0, len(c.hosts))
	for _, h := range c.hosts {
		hosts = append(hosts, h)
	}
	issuer := s.obj.Spec.TLS.IssuerRef
	kind := issuer.Kind
	if kind == "" {
		kind = "Issuer"
	}
	u.Object["spec"] = map[string]any{
		"secretName": c.secret,
		"dnsNames":   hosts,
		"issuerRef":  map[string]any{"group": certificateKind.Group, "kind": kind, "name": issuer.Name},
	}
	return u
}

// awaitCertificates waits until every certificate is issued and its Secret covers the hosts. Ingresses come after it.
func (r *Reconciler) awaitCertificates(ctx context.Context, s *scope) error {
	if len(s.certificates) == 0 {
		return nil
	}
	var names []string
	for _, c := range s.certificates {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(certificateKind)
		err := s.own.Client().Get(ctx, client.ObjectKey{Namespace: s.obj.Namespace, Name: c.secret}, u)
		switch {
		case meta.IsNoMatchError(err):
			return halt.Retry(5*time.Second, ReasonCertManagerMissing, fmt.Errorf(
				"spec.tls is set and the cluster has no cert-manager, so Ingresses wait for a certificate for %s; install cert-manager, or take spec.tls out", strings.Join(c.hosts, ", ")))
		case apierrors.IsNotFound(err):
			return wait(ReasonCertificateNotReady, "Certificate %s is not there; it is applied again", c.secret)
		case err != nil:
			return err
		}
		if why := notIssued(u); why != "" {
			return wait(ReasonCertificateNotReady, "Certificate %s for %s: %s", c.secret, strings.Join(c.hosts, ", "), why)
		}
		if why, err := r.notCovered(ctx, s, c); err != nil || why != "" {
			return orWait(err, ReasonCertificateNotReady, why)
		}
		names = append(names, c.hosts...)
	}
	s.finish(PhaseCertify, "certificates for "+strings.Join(names, ", "), r.Clock.Now())
	return nil
}

func orWait(err error, reason, why string) error {
	if err != nil {
		return err
	}
	return wait(reason, "%s", why)
}

// notIssued says what a Certificate waits for; "" if it is Ready for its present spec.
func notIssued(u *unstructured.Unstructured) string {
	list, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	why := "cert-manager has not taken it up yet"
	for _, entry := range list {
		c, _ := entry.(map[string]any)
		kind, _, _ := unstructured.NestedString(c, "type")
		state, _, _ := unstructured.NestedString(c, "status")
		message, _, _ := unstructured.NestedString(c, "message")
		observed, _, _ := unstructured.NestedInt64(c, "observedGeneration")
		switch {
		case kind == "Ready" && state == "True" && observed == u.GetGeneration():
			return ""
		case kind == "Ready" && state != "True" && why == "cert-manager has not taken it up yet", kind == "Issuing" && message != "":
			why = message
		}
	}
	return why
}

// notCovered says what is wrong with a certificate's Secret; "" if it covers every host.
func (r *Reconciler) notCovered(ctx context.Context, s *scope, c certificate) (string, error) {
	secret := &corev1.Secret{}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: s.obj.Namespace, Name: c.secret}, secret)
	if apierrors.IsNotFound(err) {
		return fmt.Sprintf("Certificate %s is Ready, and its Secret is not there; cert-manager issues it again", c.secret), nil
	} else if err != nil {
		return "", err
	}
	return uncovered(c, secret.Data[corev1.TLSCertKey]), nil
}

// uncovered checks the leaf certificate, the first of a PEM bundle.
func uncovered(c certificate, bundle []byte) string {
	block, _ := pem.Decode(bundle)
	if block == nil {
		return fmt.Sprintf("Secret %s has no certificate in %s", c.secret, corev1.TLSCertKey)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Sprintf("Secret %s has no readable certificate in %s", c.secret, corev1.TLSCertKey)
	}
	for _, host := range c.hosts {
		if !slices.Contains(leaf.DNSNames, host) && leaf.VerifyHostname(host) != nil {
			return fmt.Sprintf("the certificate in Secret %s does not cover %s yet", c.secret, host)
		}
	}
	return ""
}
