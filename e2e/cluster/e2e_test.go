//go:build e2e && linux

package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// suite is one cluster and what its tests share.
type suite struct {
	*Cluster
	client kubernetes.Interface
	probe  string            // image
	ips    map[string]string // of probe pods
}

// TestClusterCarriesPods brings a cluster up, uses everything that the README
// promises, and looks for traces after it is down.
func TestClusterCarriesPods(t *testing.T) {
	root, err := FindRoot(".")
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLayout(root)
	if err != nil {
		t.Fatal(err)
	}
	if owner, err := bridgeOwner(); owner != "" || err != nil {
		t.Fatalf("a cluster runs on this machine, of %s; this test starts and ends one: run `cluster down` there first (%v)", owner, err)
	}
	sysctls := readSysctls()
	c, err := Up(t.Context(), Options{Root: root, Out: os.Stderr})
	t.Cleanup(func() { checkDown(t, l, sysctls) })
	if err != nil {
		t.Fatal(err)
	}
	client, err := c.client()
	if err != nil {
		t.Fatal(err)
	}
	s := &suite{Cluster: c, client: client, ips: map[string]string{}}
	for _, sub := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"pods", s.testPods},
		{"dns", s.testDNS},
		{"service", s.testServiceKeepsClientAddress},
		{"kubectl", s.testKubectl},
		{"volume", s.testVolume},
		{"postgres", s.testPostgres},
		{"git", s.testGit},
		{"ingress", s.testIngress},
		{"kill", s.testKills},
		{"again", s.testUpAgain},
	} {
		if !t.Run(sub.name, sub.run) {
			break // later ones build on it
		}
	}
}

// checkDown ends the cluster twice and checks that nothing of it is left.
func checkDown(t *testing.T, l layout, sysctls map[string]string) {
	t.Helper()
	for range 2 {
		if err := Down(context.Background(), l.root, os.Stderr); err != nil {
			t.Errorf("down: %v", err)
		}
	}
	if owner, err := bridgeOwner(); owner != "" || err != nil {
		t.Errorf("bridge of %q is left (%v)", owner, err)
	}
	devices, err := net.Interfaces()
	for _, d := range devices {
		if strings.HasPrefix(d.Name, "ilk") {
			t.Errorf("network device %s is left", d.Name)
		}
	}
	if err != nil {
		t.Error(err)
	}
	if left := marked(l); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	if mounts, err := mountsBelow(l.local()); len(mounts) > 0 || err != nil {
		t.Errorf("mounts are left: %v (%v)", mounts, err)
	}
	for _, pattern := range []string{
		netnsDir + "/ilk-*", l.run("*"),
		"/sys/fs/cgroup/*/" + cgroupPrefix(l) + "*", "/sys/fs/cgroup/" + cgroupPrefix(l) + "*",
	} {
		if left, err := filepath.Glob(pattern); len(left) > 0 || err != nil {
			t.Errorf("left behind: %v (%v)", left, err)
		}
	}
	if now := readSysctls(); !maps.Equal(now, sysctls) {
		t.Errorf("kernel settings are %v, were %v", now, sysctls)
	}
}

func (s *suite) testPods(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "probe")
	cmd := exec.Command("go", "build", "-trimpath", "-o", bin, "./internal/probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var err error
	if s.probe, err = s.PushBinary(t.Context(), "probe", "v1", bin); err != nil {
		t.Fatal(err)
	}
	for name, node := range map[string]string{"a": "node1", "a2": "node1", "b": "node2"} {
		s.startProbe(t, name, node, nil)
	}
	for name, node := range map[string]string{"a": "node1", "a2": "node1", "b": "node2"} {
		ip := s.waitPod(t, name)
		i := 1
		if node == "node2" {
			i = 2
		}
		if !strings.HasPrefix(ip, strings.TrimSuffix(nodePodCIDR(i).Addr().String(), "0")) {
			t.Errorf("pod %s on %s has address %s", name, node, ip)
		}
		if got := s.ask(t, name, "/whoami", nil); got != HostIP {
			t.Errorf("pod %s sees the host as %s, want %s", name, got, HostIP)
		}
	}
}

func (s *suite) testDNS(t *testing.T) {
	for _, pod := range []string{"a", "b"} {
		if got := s.ask(t, pod, "/lookup", url.Values{"name": {"kubernetes.default.svc"}}); got != ServiceIP {
			t.Errorf("%s finds the API server at %q, want %s", pod, got, ServiceIP)
		}
	}
}

// testServiceKeepsClientAddress: a database must see which pod calls it, through
// a Service as well, from another node as from its own.
func (s *suite) testServiceKeepsClientAddress(t *testing.T) {
	s.apply(t, `
apiVersion: v1
kind: Service
metadata: {name: a}
spec: {selector: {app: a}, ports: [{name: web, port: 80, targetPort: 8080}]}`)
	for _, from := range []string{"b", "a2"} {
		want := s.ips[from]
		s.eventually(t, from+" through the Service of a", func() error {
			return s.expect(from, "/fetch", url.Values{"url": {"http://a.default.svc/whoami"}}, want)
		})
	}
}

func (s *suite) testKubectl(t *testing.T) {
	if got := s.kubectl(t, "logs", "a"); got != "probe listens" {
		t.Errorf("logs: %q", got)
	}
	if got := s.kubectl(t, "exec", "b", "--", "/probe", "it", "answers"); got != "it answers" {
		t.Errorf("exec: %q", got)
	}
}

func (s *suite) testVolume(t *testing.T) {
	s.apply(t, `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: notes}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}`)
	mount := func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "notes"},
		}}}
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	}
	s.startProbe(t, "keeper", "node2", mount)
	s.waitPod(t, "keeper")
	if got := s.ask(t, "keeper", "/append", url.Values{"text": {"one"}}); got != "one" {
		t.Fatalf("wrote %q", got)
	}
	s.remove(t, "keeper")
	s.startProbe(t, "keeper2", "", mount) // the volume says where
	s.waitPod(t, "keeper2")
	if got := s.ask(t, "keeper2", "/append", url.Values{"text": {"two"}}); got != "onetwo" {
		t.Errorf("after a new pod the file holds %q", got)
	}
	s.remove(t, "keeper2")
	if err := s.client.CoreV1().PersistentVolumeClaims("default").Delete(t.Context(), "notes", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "the volume's directory to go", func() error {
		left, err := os.ReadDir(s.VolumesDir("node2"))
		if err != nil || len(left) > 0 {
			return fmt.Errorf("%v (%w)", left, err)
		}
		return nil
	})
}

// testPostgres runs the image that most other tests need.
func (s *suite) testPostgres(t *testing.T) {
	ref, err := s.PushRootfs(t.Context(), "postgres", "17", s.RootfsDir("postgres"), WithUser("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	s.startProbe(t, "database", "node1", func(p *corev1.Pod) {
		p.Spec.Containers[0].Image = ref
		p.Spec.Containers[0].ImagePullPolicy = corev1.PullIfNotPresent
		p.Spec.Containers[0].Command = []string{"/bin/sh", "-ec", `
			bin=/usr/lib/postgresql/17/bin
			$bin/initdb -D /tmp/data -A trust >/dev/null
			$bin/pg_ctl -D /tmp/data -w -o "-k /tmp" -l /tmp/log start >/dev/null
			psql -h /tmp -d postgres -Atc "select 'version ' || current_setting('server_version_num')::int / 10000"
			sleep 1000`}
	})
	s.waitPod(t, "database")
	s.eventually(t, "the database's answer", func() error {
		if got := s.kubectl(t, "logs", "database"); got != "version 17" {
			return fmt.Errorf("log is %q", got)
		}
		return nil
	})
	s.remove(t, "database")
}

func (s *suite) testGit(t *testing.T) {
	auth := BasicAuth{User: "reader", Password: "p:ss word"}
	if err := s.CreateRepo(t.Context(), "open", nil); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateRepo(t.Context(), "closed", &auth); err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, s.CACert(), 0o600); err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	git := func(args ...string) error {
		cmd := exec.Command("git", append([]string{"-C", work, "-c", "user.name=t", "-c", "user.email=t@example.test"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_SSL_CAINFO="+ca, "GIT_TERMINAL_PROMPT=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("git %v: %w\n%s", args, err, out)
		}
		return nil
	}
	with := strings.Replace(s.GitURL("closed"), "https://", "https://"+url.UserPassword(auth.User, auth.Password).String()+"@", 1)
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"},
		{"commit", "-q", "--allow-empty", "-m", "first"},
		{"push", "-q", s.GitURL("open"), "main"},
		{"push", "-q", s.GitDir("closed"), "main"},
		{"ls-remote", "--exit-code", s.GitHTTPURL("open"), "main"},
		{"ls-remote", "--exit-code", with, "main"},
	} {
		if err := git(args...); err != nil {
			t.Error(err)
		}
	}
	if err := git("ls-remote", s.GitURL("closed")); err == nil || !strings.Contains(err.Error(), "could not read Username") {
		t.Errorf("a repository with credentials, asked without: %v", err)
	}
	if err := s.RemoveRepo("open"); err != nil {
		t.Fatal(err)
	}
	if err := git("ls-remote", s.GitURL("open")); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("a repository that is gone: %v", err)
	}
}

func (s *suite) testIngress(t *testing.T) {
	if err := s.InstallCertManager(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.InstallIngress(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.apply(t, `
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: selfsigned}
spec: {selfSigned: {}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: web}
spec:
  secretName: web-tls
  dnsNames: [web.example.test]
  issuerRef: {kind: ClusterIssuer, name: selfsigned}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  tls: [{hosts: [web.example.test], secretName: web-tls}]
  rules:
  - host: web.example.test
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: a, port: {name: web}}}}]}`)
	s.kubectl(t, "wait", "--for=condition=Ready", "certificate/web", "--timeout=30s")
	secret, err := s.client.CoreV1().Secrets("default").Get(t.Context(), "web-tls", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(secret.Data["tls.crt"]) {
		t.Fatal("the certificate's Secret holds no certificate")
	}
	get := s.httpsClient(pool)
	s.eventually(t, "the page over TLS", func() error {
		code, err := get("https://web.example.test/whoami")
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("status %d", code)
		}
		return err
	})
	if _, err := get("https://other.example.test/"); err == nil {
		t.Error("a host without a certificate got one")
	}
	s.remove(t, "a")
	s.eventually(t, "no endpoint", func() error {
		code, err := get("https://web.example.test/whoami")
		if err == nil && code != http.StatusServiceUnavailable {
			err = fmt.Errorf("status %d", code)
		}
		return err
	})
}

func (s *suite) httpsClient(pool *x509.CertPool) func(string) (int, error) {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, s.IngressAddr())
		},
	}}
	return func(u string) (int, error) {
		resp, err := client.Get(u)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close() //nolint:errcheck // read only
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, err
	}
}

func (s *suite) testKills(t *testing.T) {
	kubelet, err := s.NodeProcess("node1", Kubelet)
	if err != nil {
		t.Fatal(err)
	}
	if err := kubelet.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "another kubelet", func() error {
		now, err := s.NodeProcess("node1", Kubelet)
		if err == nil && now.PID() == kubelet.PID() {
			return fmt.Errorf("it is still pid %d", now.PID())
		}
		return err
	})
	api, err := s.Process(APIServer)
	if err != nil {
		t.Fatal(err)
	}
	if err := api.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "the API server's end", func() error {
		if api.Alive() {
			return fmt.Errorf("pid %d is alive", api.PID())
		}
		return nil
	})
	if err := s.Restart(t.Context(), APIServer); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context(), "node2"); err != nil {
		t.Fatal(err)
	}
	s.startProbe(t, "after", "node2", nil)
	s.waitPod(t, "after")
}

// testUpAgain: a running cluster is kept and grows.
func (s *suite) testUpAgain(t *testing.T) {
	api, err := s.Process(APIServer)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	c, err := Up(t.Context(), Options{Root: s.l.root, Nodes: 3, Out: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	if !api.Alive() {
		t.Error("the second up started another API server")
	}
	if d := time.Since(start); d > 25*time.Second {
		t.Errorf("the second up took %s", d)
	}
	if got := strings.Join(c.NodeNames(), " "); got != "node1 node2 node3" {
		t.Errorf("nodes %s", got)
	}
	s.startProbe(t, "c", "node3", nil)
	s.waitPod(t, "c")
	s.eventually(t, "c from b", func() error {
		return s.expect("a2", "/fetch", url.Values{"url": {"http://" + s.ips["c"] + ":8080/whoami"}}, s.ips["a2"])
	})
}
