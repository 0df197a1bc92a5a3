package main

import (
	"crypto/tls"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// objects is what routes are computed from, as the cluster holds it.
type objects struct {
	ingresses []*networkingv1.Ingress
	slices    []*discoveryv1.EndpointSlice
	services  []*corev1.Service
	secrets   map[key]*corev1.Secret
}

type key struct{ namespace, name string }

// routes answers which endpoints serve a request, and with which certificate.
type routes struct {
	hosts map[string][]path
	certs map[string]*tls.Certificate
}

// path is one rule of one host; longer prefixes come first.
type path struct {
	prefix    string
	exact     bool
	endpoints []string // host:port, sorted
}

// compile computes the routes. What is incomplete (a Secret that is missing or
// does not parse, a Service without ready endpoints) stays without certificate or
// endpoints; the rest is served.
func compile(o objects) *routes {
	r := &routes{hosts: map[string][]path{}, certs: map[string]*tls.Certificate{}}
	for _, ing := range o.ingresses {
		for _, t := range ing.Spec.TLS {
			s := o.secrets[key{ing.Namespace, t.SecretName}]
			if s == nil {
				continue
			}
			cert, err := tls.X509KeyPair(s.Data[corev1.TLSCertKey], s.Data[corev1.TLSPrivateKeyKey])
			if err != nil {
				continue
			}
			for _, h := range t.Hosts {
				if cert.Leaf != nil && cert.Leaf.VerifyHostname(h) == nil {
					r.certs[strings.ToLower(h)] = &cert
				}
			}
		}
		for _, rule := range ing.Spec.Rules {
			if rule.HTTP == nil {
				continue
			}
			host := strings.ToLower(rule.Host)
			for _, p := range rule.HTTP.Paths {
				r.hosts[host] = append(r.hosts[host], path{
					prefix:    p.Path,
					exact:     p.PathType != nil && *p.PathType == networkingv1.PathTypeExact,
					endpoints: o.endpoints(ing.Namespace, p.Backend.Service),
				})
			}
		}
	}
	for _, ps := range r.hosts {
		slices.SortStableFunc(ps, func(a, b path) int { return len(b.prefix) - len(a.prefix) })
	}
	return r
}

// endpoints lists the ready addresses behind a Service's port.
func (o objects) endpoints(namespace string, b *networkingv1.IngressServiceBackend) []string {
	if b == nil {
		return nil
	}
	port, ok := o.servicePort(namespace, b)
	if !ok {
		return nil
	}
	var out []string
	for _, s := range o.slices {
		if s.Namespace != namespace || s.Labels[discoveryv1.LabelServiceName] != b.Name {
			continue
		}
		for _, p := range s.Ports {
			if p.Port == nil || p.Name == nil || *p.Name != port {
				continue
			}
			for _, e := range s.Endpoints {
				if e.Conditions.Ready != nil && !*e.Conditions.Ready {
					continue
				}
				for _, a := range e.Addresses {
					out = append(out, net.JoinHostPort(a, strconv.Itoa(int(*p.Port))))
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// servicePort is the name under which EndpointSlices list the backend's port.
func (o objects) servicePort(namespace string, b *networkingv1.IngressServiceBackend) (string, bool) {
	for _, s := range o.services {
		if s.Namespace != namespace || s.Name != b.Name {
			continue
		}
		for _, p := range s.Spec.Ports {
			if (b.Port.Name != "" && p.Name == b.Port.Name) || (b.Port.Number != 0 && p.Port == b.Port.Number) {
				return p.Name, true
			}
		}
	}
	return "", false
}

// match finds the endpoints for a request. The second answer is whether there is
// a rule at all.
func (r *routes) match(host, urlPath string) ([]string, bool) {
	host = strings.ToLower(host)
	for _, h := range []string{host, ""} {
		for _, p := range r.hosts[h] {
			if p.matches(urlPath) {
				return p.endpoints, true
			}
		}
	}
	return nil, false
}

// matches compares whole path elements: /a is a prefix of /a/b, not of /ab.
func (p path) matches(urlPath string) bool {
	if p.exact {
		return urlPath == p.prefix
	}
	prefix := strings.TrimSuffix(p.prefix, "/")
	return urlPath == prefix || strings.HasPrefix(urlPath, prefix+"/")
}
