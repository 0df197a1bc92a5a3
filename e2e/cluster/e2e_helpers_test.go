//go:build e2e && linux

package cluster

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func (s *suite) apply(t *testing.T, manifest string) {
	t.Helper()
	if err := s.Apply(t.Context(), []byte(manifest)); err != nil {
		t.Fatal(err)
	}
}

// eventually retries check for a minute.
func (s *suite) eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("waited for %s: %v", what, err)
}

// startProbe starts the pod name on node ("" for any), after change.
func (s *suite) startProbe(t *testing.T, name, node string, change func(*corev1.Pod)) {
	t.Helper()
	zero := int64(0)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: &zero,
			Containers:                    []corev1.Container{{Name: "probe", Image: s.probe}},
		},
	}
	if node != "" {
		pod.Spec.NodeSelector = map[string]string{corev1.LabelHostname: node}
	}
	if change != nil {
		change(pod)
	}
	// A namespace's ServiceAccount comes a moment after the namespace.
	s.eventually(t, "the creation of pod "+name, func() error {
		_, err := s.client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{})
		return err
	})
}

// waitPod waits until the pod is Ready and answers, and returns its address.
func (s *suite) waitPod(t *testing.T, name string) string {
	t.Helper()
	s.eventually(t, "pod "+name, func() error {
		p, err := s.client.CoreV1().Pods("default").Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				s.ips[name] = p.Status.PodIP
				return nil
			}
		}
		return fmt.Errorf("phase %s: %v", p.Status.Phase, p.Status.ContainerStatuses)
	})
	return s.ips[name]
}

func (s *suite) remove(t *testing.T, name string) {
	t.Helper()
	if err := s.client.CoreV1().Pods("default").Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "the end of pod "+name, func() error {
		_, err := s.client.CoreV1().Pods("default").Get(t.Context(), name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is still there (%w)", err)
	})
}

// ask calls a probe pod from the host.
func (s *suite) ask(t *testing.T, pod, path string, q url.Values) string {
	t.Helper()
	var got string
	s.eventually(t, pod+path, func() (err error) {
		got, err = s.call(pod, path, q)
		return err
	})
	return got
}

func (s *suite) call(pod, path string, q url.Values) (string, error) {
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get("http://" + s.ips[pod] + ":8080" + path + "?" + q.Encode())
	if err != nil {
		return "", err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, b)
	}
	return string(b), err
}

func (s *suite) expect(pod, path string, q url.Values, want string) error {
	got, err := s.call(pod, path, q)
	if err == nil && got != want {
		err = fmt.Errorf("got %q, want %q", got, want)
	}
	return err
}

func (s *suite) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(s.BinDir(), "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.KubeconfigPath())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}
