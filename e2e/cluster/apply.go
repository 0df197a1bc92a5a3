//go:build linux

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsclient "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
)

// fieldOwner is who Apply writes as.
const fieldOwner = "local-cluster"

// Apply applies YAML documents in order by server-side apply. A namespaced object
// without a namespace goes to "default".
func (c *Cluster) Apply(ctx context.Context, manifests []byte) error {
	cfg, err := c.RESTConfig()
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return err
	}
	disco, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(disco))
	dec := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifests), 4096)
	for {
		var obj unstructured.Unstructured
		err := dec.Decode(&obj.Object)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(obj.Object) == 0 {
			continue
		}
		if err := applyOne(ctx, client, mapper, &obj); err != nil {
			return fmt.Errorf("apply %s %s: %w", obj.GetKind(), obj.GetName(), err)
		}
	}
}

func applyOne(ctx context.Context, client dynamic.Interface, mapper meta.RESTMapper, obj *unstructured.Unstructured) error {
	gvk := obj.GroupVersionKind()
	m, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return err
	}
	var target dynamic.ResourceInterface = client.Resource(m.Resource)
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		if obj.GetNamespace() == "" {
			obj.SetNamespace(metav1.NamespaceDefault)
		}
		target = client.Resource(m.Resource).Namespace(obj.GetNamespace())
	}
	_, err = target.Apply(ctx, obj.GetName(), obj, metav1.ApplyOptions{FieldManager: fieldOwner, Force: true})
	return err
}

// waitCRDs waits until every CRD is served.
func (c *Cluster) waitCRDs(ctx context.Context) error {
	cfg, err := c.RESTConfig()
	if err != nil {
		return err
	}
	client, err := apiextensionsclient.NewForConfig(cfg)
	if err != nil {
		return err
	}
	return c.wait(ctx, 30*time.Second, "the CRDs", func(ctx context.Context) error {
		list, err := client.ApiextensionsV1().CustomResourceDefinitions().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, crd := range list.Items {
			established := false
			for _, cond := range crd.Status.Conditions {
				if cond.Type == apiextensionsv1.Established && cond.Status == apiextensionsv1.ConditionTrue {
					established = true
				}
			}
			if !established {
				return fmt.Errorf("%s is not established", crd.Name)
			}
		}
		return nil
	})
}

// waitWorkload waits until a Deployment or DaemonSet runs as it was last applied.
func (c *Cluster) waitWorkload(ctx context.Context, out *progress, namespace, kind, name string) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	start := time.Now()
	stop := out.every(10*time.Second, func() { out.say("waiting for %s, %s", name, time.Since(start).Round(time.Second)) })
	defer stop()
	return c.wait(ctx, 2*time.Minute, kind+" "+name, func(ctx context.Context) error {
		var want, ready, updated int32
		var observed bool
		switch kind {
		case "Deployment":
			d, err := client.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			want, ready, updated = *d.Spec.Replicas, d.Status.AvailableReplicas, d.Status.UpdatedReplicas
			observed = d.Status.ObservedGeneration == d.Generation
		default:
			d, err := client.AppsV1().DaemonSets(namespace).Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			want, ready, updated = d.Status.DesiredNumberScheduled, d.Status.NumberAvailable, d.Status.UpdatedNumberScheduled
			observed = d.Status.ObservedGeneration == d.Generation && want > 0
		}
		if !observed || ready < want || updated < want {
			return fmt.Errorf("%s %s/%s has %d of %d pods available", kind, namespace, name, ready, want)
		}
		return nil
	})
}
