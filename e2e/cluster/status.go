//go:build linux

package cluster

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Describe writes what runs and how to reach it, for people. It fails when the
// API server does not answer.
func (c *Cluster) Describe(ctx context.Context, out io.Writer) error {
	s, err := readState(c.l.stateFile())
	if err != nil {
		return err
	}
	if err := c.ready(ctx); err != nil {
		return fmt.Errorf("the API server does not answer: %w", err)
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(a ...any) { fmt.Fprintln(w, a...) } //nolint:errcheck // Flush tells
	line("Kubernetes\t" + KubernetesVersion + "\t" + apiServerURL)
	line("kubeconfig\t" + c.l.kubeconfig())
	line("registry\t" + registryHost)
	line("git\t" + c.GitURL("NAME"))
	for _, n := range nodes.Items {
		line(n.Name + "\t" + c.NodeAddr(n.Name) + "\t" + readiness(n))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Processes)) {
		line(fmt.Sprintf("process\t%s\tpid %d", name, s.Processes[name].PID))
	}
	return w.Flush()
}

func readiness(n corev1.Node) string {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return "Ready"
		}
	}
	return "not Ready"
}
