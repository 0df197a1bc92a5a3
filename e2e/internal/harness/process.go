package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// leaderLease is where the operator's replicas agree on who works.
const leaderLease = "interlock.interlock.dev"

// KillOperator ends the process of every replica with SIGKILL. So that tests do not wait for what Kubernetes waits
// for, the pods are replaced (the kubelet waits longer before each restart) and the dead leader's lease is deleted.
func (e *Env) KillOperator(ctx context.Context) error {
	pods, err := e.operatorPods(ctx)
	if err != nil {
		return err
	}
	killed := 0
	for _, p := range pods {
		if killContainer(string(p.UID)) == nil { // one that does not run yet can not be killed
			killed++
		}
		err := e.Client.Delete(ctx, &p, client.GracePeriodSeconds(0))
		if client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	if killed == 0 {
		return errors.New("no process of the operator runs")
	}
	return client.IgnoreNotFound(e.Kube.CoordinationV1().Leases(OperatorNamespace).Delete(ctx, leaderLease, metav1.DeleteOptions{}))
}

// WaitLeader waits until a replica of the operator works.
func (e *Env) WaitLeader(ctx context.Context) error {
	return Wait(ctx, 2*time.Minute, "a leader among the operator's replicas", func(ctx context.Context) (bool, string, error) {
		lease, err := e.Kube.CoordinationV1().Leases(OperatorNamespace).Get(ctx, leaderLease, metav1.GetOptions{})
		if err != nil {
			return false, "", err
		}
		holder := ptr.Deref(lease.Spec.HolderIdentity, "")
		pods, err := e.operatorPods(ctx)
		alive := slices.ContainsFunc(pods, func(p corev1.Pod) bool {
			return p.DeletionTimestamp == nil && strings.HasPrefix(holder, p.Name+"_")
		})
		return alive, fmt.Sprintf("the lease is held by %q", holder), err
	})
}

// ScaleOperator sets the number of replicas and waits for it.
func (e *Env) ScaleOperator(ctx context.Context, replicas int32) error {
	deployments := e.Kube.AppsV1().Deployments(OperatorNamespace)
	scale, err := deployments.GetScale(ctx, release, metav1.GetOptions{})
	if err != nil {
		return err
	}
	scale.Spec.Replicas = replicas
	if _, err := deployments.UpdateScale(ctx, release, scale, metav1.UpdateOptions{}); err != nil {
		return err
	}
	return Wait(ctx, 2*time.Minute, fmt.Sprintf("%d replicas of the operator", replicas), func(ctx context.Context) (bool, string, error) {
		pods, err := e.operatorPods(ctx)
		ready := 0
		for _, p := range pods {
			if podReady(&p) {
				ready++
			}
		}
		return err == nil && len(pods) == int(replicas) && ready == int(replicas), fmt.Sprintf("%d pods, %d ready", len(pods), ready), err
	})
}

func (e *Env) operatorPods(ctx context.Context) ([]corev1.Pod, error) {
	var pods corev1.PodList
	err := e.Client.List(ctx, &pods, client.InNamespace(OperatorNamespace), client.MatchingLabels{"app.kubernetes.io/name": "interlock"})
	return pods.Items, err
}

func podReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// killContainer sends SIGKILL to the first process of a pod's container, on this machine: the nodes are here.
func killContainer(podUID string) error {
	pids, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return err
	}
	for _, file := range pids {
		b, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(b, []byte(podUID)) {
			continue // gone already, or another one
		}
		dir := filepath.Dir(file)
		if !isFirst(dir) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			return err
		}
		return syscall.Kill(pid, syscall.SIGKILL)
	}
	return fmt.Errorf("no container of pod %s runs", podUID)
}

// isFirst says whether a process is the first one of its container, and that not the one that holds the pod's
// namespaces.
func isFirst(procDir string) bool {
	command, err := os.ReadFile(filepath.Join(procDir, "cmdline"))
	if err != nil || bytes.HasPrefix(command, []byte("/pause")) {
		return false
	}
	status, err := os.ReadFile(filepath.Join(procDir, "status"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		if inner, ok := strings.CutPrefix(line, "NSpid:"); ok {
			ids := strings.Fields(inner)
			return ids[len(ids)-1] == "1"
		}
	}
	return false
}
