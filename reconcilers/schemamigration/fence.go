package schemamigration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

// etcdMargin is how long a write may still be on its way after its request is over: the API server gives up, and
// etcd finishes what it has proposed. It is etcd's own limit, 5 s and two elections (etcd, server/config: ReqTimeout).
const etcdMargin = 7 * time.Second

// The policies of the chart that refuse below a fence: stamped pods, templates, and whoever has no stamp.
const (
	podPolicy       = "interlock-fence"
	templatePolicy  = "interlock-templates"
	unstampedPolicy = "interlock-unstamped"
)

// proof is what has to be refused everywhere.
type proof struct {
	namespace, series string
	// version of the fence; what is below has to be refused.
	version int64
	// secrets of the database: a template that uses one unstamped has to be refused.
	secrets []string
}

// policies lists those that have to refuse.
func (p proof) policies() []string {
	if len(p.secrets) == 0 {
		return []string{podPolicy, templatePolicy}
	}
	return []string{podPolicy, templatePolicy, unstampedPolicy}
}

// refusal is what the answer to a proof has to contain: the policy's name, and what it refused.
func (p proof) refusal(policy string) string {
	said := "interlock: fence: " + v1alpha1.SeriesKey(p.series) + ":"
	if policy == unstampedPolicy {
		said = "interlock: unstamped:"
	}
	return fmt.Sprintf("'%s' with binding '%s' denied request: %s", policy, policy, said)
}

// proveFence asks every API server, by a dry run, to let in a template below the fence, and returns an error
// that names the first one that does not refuse. A PodTemplate starts nothing, and the policies judge it by
// the same params as a pod. A dry run through a load balancer would ask only one server.
func proveFence(ctx context.Context, config *rest.Config, live client.Reader, p proof) error {
	addresses, err := apiServers(ctx, live)
	if err != nil {
		return err
	}
	for _, address := range addresses {
		if err := proveAt(ctx, config, address, p); err != nil {
			return err
		}
	}
	return nil
}

// proveFenceWithin repeats the proof until it holds or the time is over: policies and params reach an API
// server's admission about a second after they are written.
func proveFenceWithin(ctx context.Context, limit time.Duration, prove func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := prove(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// apiServers returns host:port of every API server, from the EndpointSlice that they keep themselves.
func apiServers(ctx context.Context, live client.Reader) ([]string, error) {
	slices := &discoveryv1.EndpointSliceList{}
	if err := live.List(ctx, slices, client.InNamespace(metav1.NamespaceDefault),
		client.MatchingLabels{discoveryv1.LabelServiceName: "kubernetes"}); err != nil {
		return nil, fmt.Errorf("the API servers' addresses (EndpointSlice default/kubernetes) can not be listed: %w", err)
	}
	var out []string
	for _, s := range slices.Items {
		for _, port := range s.Ports {
			if port.Port == nil {
				continue
			}
			for _, e := range s.Endpoints {
				for _, a := range e.Addresses {
					out = append(out, net.JoinHostPort(a, strconv.Itoa(int(*port.Port))))
				}
			}
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no API server is listed in EndpointSlice default/kubernetes, so no fence can be proved")
	}
	return out, nil
}

func proveAt(ctx context.Context, config *rest.Config, address string, p proof) error {
	c := rest.CopyConfig(config)
	c.Host = "https://" + address
	c.Timeout = 5 * time.Second
	if c.ServerName == "" {
		c.ServerName = "kubernetes.default.svc"
	}
	direct, err := kubernetes.NewForConfig(c)
	if err != nil {
		return err
	}
	for _, policy := range p.policies() {
		_, err = direct.CoreV1().PodTemplates(p.namespace).Create(ctx, p.probe(policy), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		switch {
		case err == nil:
			return fmt.Errorf("policy %s of API server %s still lets in what is below %s@%d; are Interlock's admission policies installed and is namespace %q not exempt?",
				policy, address, p.series, p.version, p.namespace)
		case !strings.Contains(err.Error(), p.refusal(policy)):
			return fmt.Errorf("API server %s did not answer the proof with the refusal of policy %s: %w", address, policy, err)
		}
	}
	return nil
}

// probe is a template that a policy has to refuse. The policy of pods selects objects by their own label, so the
// template carries it itself where that policy is to judge: the same policy, binding and params as a pod's.
func (p proof) probe(policy string) *corev1.PodTemplate {
	container := corev1.Container{Name: "proof", Image: "proof"}
	t := &corev1.PodTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, GenerateName: "interlock-fence-proof-"}}
	if policy == unstampedPolicy {
		container.EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: p.secrets[0]}}}}
		t.Template.Spec.Containers = []corev1.Container{container}
		return t
	}
	t.Template.Spec.Containers = []corev1.Container{container}
	t.Template.Labels = map[string]string{
		v1alpha1.StampedLabel:         "true",
		v1alpha1.StampLabel(p.series): strconv.FormatInt(p.version-1, 10),
	}
	t.Template.Annotations = map[string]string{v1alpha1.StampImagesAnnotation: "proof=proof"}
	if policy == podPolicy {
		t.Labels, t.Annotations = t.Template.Labels, t.Template.Annotations
	}
	return t
}
