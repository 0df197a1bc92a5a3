package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"

	corev1 "k8s.io/api/core/v1"
)

// table holds the current routes and computes them again at every change.
type table struct {
	ingresses networkinglisters.IngressLister
	slices    discoverylisters.EndpointSliceLister
	services  corelisters.ServiceLister
	secrets   corelisters.SecretLister

	changed chan struct{} // holds one: changes while computing are one change
	built   chan struct{} // closed once there are routes
	once    sync.Once
	current atomic.Pointer[routes]
}

func newTable(f informers.SharedInformerFactory) (*table, error) {
	t := &table{
		ingresses: f.Networking().V1().Ingresses().Lister(),
		slices:    f.Discovery().V1().EndpointSlices().Lister(),
		services:  f.Core().V1().Services().Lister(),
		secrets:   f.Core().V1().Secrets().Lister(),
		changed:   make(chan struct{}, 1),
		built:     make(chan struct{}),
	}
	notify := func(any) { t.touch() }
	for _, i := range []cache.SharedIndexInformer{
		f.Networking().V1().Ingresses().Informer(), f.Discovery().V1().EndpointSlices().Informer(),
		f.Core().V1().Services().Informer(), f.Core().V1().Secrets().Informer(),
	} {
		_, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: notify, DeleteFunc: notify, UpdateFunc: func(_, _ any) { t.touch() },
		})
		if err != nil {
			return nil, err
		}
	}
	t.touch()
	return t, nil
}

func (t *table) touch() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// run computes the routes at once after every change, until ctx ends.
func (t *table) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.changed:
		}
		t.current.Store(compile(t.read()))
		t.once.Do(func() { close(t.built) })
	}
}

// read takes everything out of the caches, which cannot fail.
func (t *table) read() objects {
	all := labels.Everything()
	o := objects{secrets: map[key]*corev1.Secret{}}
	o.ingresses, _ = t.ingresses.List(all)
	o.slices, _ = t.slices.List(all)
	o.services, _ = t.services.List(all)
	secrets, _ := t.secrets.List(all)
	for _, s := range secrets {
		if s.Type == corev1.SecretTypeTLS {
			o.secrets[key{s.Namespace, s.Name}] = s
		}
	}
	return o
}

func (t *table) routes() *routes { return t.current.Load() }

// certificate ends the handshake for a host that has none.
func (t *table) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := t.routes().certs[strings.ToLower(hello.ServerName)]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("no certificate for host %q", hello.ServerName)
}
