package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func ptr[T any](v T) *T { return &v }

// shop is an Ingress over a Service with one ready, one unready and one endpoint
// that does not say.
func shop(t *testing.T) objects {
	t.Helper()
	meta := metav1.ObjectMeta{Namespace: "ns", Name: "web"}
	backend := networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80}}}
	missing := networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Name: "other"}}}
	exact, prefix := networkingv1.PathTypeExact, networkingv1.PathTypePrefix
	return objects{
		ingresses: []*networkingv1.Ingress{{ObjectMeta: meta, Spec: networkingv1.IngressSpec{
			TLS: []networkingv1.IngressTLS{
				{Hosts: []string{"Web.test", "not-in-cert.test"}, SecretName: "tls"},
				{Hosts: []string{"broken.test"}, SecretName: "broken"},
				{Hosts: []string{"absent.test"}, SecretName: "absent"},
			},
			Rules: []networkingv1.IngressRule{{Host: "web.test", IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
				Paths: []networkingv1.HTTPIngressPath{
					{Path: "/", PathType: &prefix, Backend: backend},
					{Path: "/api", PathType: &prefix, Backend: missing},
					{Path: "/api/one", PathType: &exact, Backend: backend},
				},
			}}}, {Host: "no-paths.test"}},
		}}},
		services: []*corev1.Service{{ObjectMeta: meta, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}},
		slices: []*discoveryv1.EndpointSlice{
			{
				ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
				Ports:      []discoveryv1.EndpointPort{{Name: ptr("http"), Port: ptr(int32(8080))}, {Name: ptr("metrics"), Port: ptr(int32(9090))}},
				Endpoints: []discoveryv1.Endpoint{
					{Addresses: []string{"10.0.0.2"}},
					{Addresses: []string{"10.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr(true)}},
					{Addresses: []string{"10.0.0.3"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr(false)}},
				},
			},
			{
				ObjectMeta: metav1.ObjectMeta{Namespace: "elsewhere", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
				Ports:      []discoveryv1.EndpointPort{{Name: ptr("http"), Port: ptr(int32(8080))}},
				Endpoints:  []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.9"}}},
			},
		},
		secrets: map[key]*corev1.Secret{
			{"ns", "tls"}:           {Data: keyPair(t, "web.test")},
			{"ns", "broken"}:        {Data: map[string][]byte{"tls.crt": []byte("x")}},
			{"elsewhere", "absent"}: {Data: keyPair(t, "absent.test")},
		},
	}
}

func keyPair(t *testing.T, host string) map[string][]byte {
	t.Helper()
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, priv.Public(), priv)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"tls.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		"tls.key": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}),
	}
}

func TestMatch(t *testing.T) {
	r := compile(shop(t))
	ready := []string{"10.0.0.1:8080", "10.0.0.2:8080"}
	for _, tc := range []struct {
		name, host, path string
		want             []string
		wantFound        bool
	}{
		{"only ready endpoints of the namespace", "web.test", "/", ready, true},
		{"host in capitals", "WEB.test", "/x", ready, true},
		{"longer prefix first", "web.test", "/api/two", nil, true},
		{"exact path", "web.test", "/api/one", ready, true},
		{"whole path elements", "web.test", "/apiary", ready, true},
		{"another host", "other.test", "/", nil, false},
		{"a host without paths", "no-paths.test", "/", nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, found := r.match(tc.host, tc.path)
			if !slices.Equal(got, tc.want) || found != tc.wantFound {
				t.Errorf("got %v, %v; want %v, %v", got, found, tc.want, tc.wantFound)
			}
		})
	}
}

func TestCertificates(t *testing.T) {
	tab := &table{}
	tab.current.Store(compile(shop(t)))
	for host, want := range map[string]bool{
		"web.test": true, "WEB.TEST": true, "not-in-cert.test": false,
		"broken.test": false, "absent.test": false, "other.test": false, "": false,
	} {
		c, err := tab.certificate(&tls.ClientHelloInfo{ServerName: host})
		if got := c != nil && err == nil; got != want {
			t.Errorf("%q: certificate %v, want %v (%v)", host, got, want, err)
		}
	}
}

// tableTo sends every path of host "" to one endpoint.
func tableTo(endpoint string) *table {
	tab := &table{}
	tab.current.Store(&routes{hosts: map[string][]path{"": {{prefix: "/", endpoints: []string{endpoint}}}}})
	return tab
}

// An endpoint that closes a connection after it took a request gets the request
// no second time, and the client hears of it.
func TestNoRequestIsSentTwice(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete} {
		t.Run(method, func(t *testing.T) {
			var seen atomic.Int32
			backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if seen.Add(1) == 1 {
					return // keeps the connection for the next request
				}
				panic(http.ErrAbortHandler)
			}))
			defer backend.Close()
			u, err := url.Parse(backend.URL)
			if err != nil {
				t.Fatal(err)
			}
			front := httptest.NewServer(newProxy(tableTo(u.Host)))
			defer front.Close()
			codes := []int{}
			for range 2 {
				req, err := http.NewRequest(method, front.URL, nil)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := front.Client().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				codes = append(codes, resp.StatusCode)
				_ = resp.Body.Close()
			}
			if !slices.Equal(codes, []int{http.StatusOK, http.StatusBadGateway}) || seen.Load() != 2 {
				t.Errorf("answers %v after %d requests reached the endpoint, want [200 502] after 2", codes, seen.Load())
			}
		})
	}
}

func TestProxyAnswersForItself(t *testing.T) {
	for name, tc := range map[string]struct {
		routes *routes
		want   int
	}{
		"no rule":     {&routes{}, http.StatusNotFound},
		"no endpoint": {&routes{hosts: map[string][]path{"": {{prefix: "/"}}}}, http.StatusServiceUnavailable},
	} {
		tab := &table{}
		tab.current.Store(tc.routes)
		w := httptest.NewRecorder()
		newProxy(tab).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		if w.Code != tc.want {
			t.Errorf("%s: %d, want %d", name, w.Code, tc.want)
		}
	}
}
