//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Up builds what is missing and returns a cluster with all nodes Ready and DNS
// that answers. A cluster that already runs is kept, and gets the nodes that it
// lacks; the remains of one that does not are removed first.
func Up(ctx context.Context, o Options) (*Cluster, error) {
	l, err := layoutOf(o.Root)
	if err != nil {
		return nil, err
	}
	if o.Nodes == 0 {
		o.Nodes = 2
	}
	if o.Nodes < 1 || o.Nodes > MaxNodes {
		return nil, fmt.Errorf("%d nodes: it must be 1 to %d", o.Nodes, MaxNodes)
	}
	if err := preflight(); err != nil {
		return nil, err
	}
	out := newProgress(o.Out)
	unlock, err := lock(ctx, l, out)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := claimBridge(l); err != nil {
		return nil, err
	}
	if err := installPackages(ctx, out); err != nil {
		return nil, err
	}
	if err := build(ctx, l, out); err != nil {
		return nil, err
	}
	if c, err := Attach(l.root); err == nil && c.ready(ctx) == nil {
		return c, c.grow(ctx, o.Nodes, out)
	}
	if _, err := os.Stat(l.run()); err == nil {
		out.say("removing what a cluster left that does not run any more")
	}
	if err := down(l); err != nil {
		return nil, err
	}
	return start(ctx, l, o.Nodes, out)
}

// start makes a cluster where there is none.
func start(ctx context.Context, l layout, nodes int, out *progress) (*Cluster, error) {
	begin := time.Now()
	ca, err := loadAuthority(l.caDir())
	if err != nil {
		return nil, err
	}
	s := state{BootID: bootID(), Nodes: nodes, Processes: map[string]process{}, Sysctls: readSysctls()}
	if err := writeState(l.stateFile(), s); err != nil {
		return nil, err
	}
	if err := ca.issueAll(l.pki(""), nodes); err != nil {
		return nil, err
	}
	if err := writeKubeconfigs(l); err != nil {
		return nil, err
	}
	if err := makeBridge(l); err != nil {
		return nil, err
	}
	c := &Cluster{l: l, ca: ca.certPEM}
	out.say("starting the control plane")
	if err := c.startControlPlane(ctx, &s); err != nil {
		return nil, err
	}
	out.say("starting %d nodes", nodes)
	for i := 1; i <= nodes; i++ {
		if err := c.startNode(&s, i); err != nil {
			return nil, fmt.Errorf("start %s: %w", nodeName(i), err)
		}
	}
	if err := c.waitNodes(ctx, out); err != nil {
		return nil, err
	}
	// Now that all nodes are there, DNS spreads over them.
	if err := c.applyBase(ctx); err != nil {
		return nil, err
	}
	if err := c.waitWorkload(ctx, out, "kube-system", "Deployment", "coredns"); err != nil {
		return nil, err
	}
	s.Ready = true
	if err := writeState(l.stateFile(), s); err != nil {
		return nil, err
	}
	out.say("Kubernetes %s is up with %d nodes after %s", KubernetesVersion, nodes, time.Since(begin).Round(100*time.Millisecond))
	return c, nil
}

// grow adds nodes to a running cluster.
func (c *Cluster) grow(ctx context.Context, nodes int, out *progress) error {
	s, err := readState(c.l.stateFile())
	if err != nil {
		return err
	}
	if s.Nodes >= nodes {
		out.say("Kubernetes %s is up already with %d nodes", KubernetesVersion, s.Nodes)
		return nil
	}
	ca, err := loadAuthority(c.l.caDir())
	if err != nil {
		return err
	}
	old := s.Nodes
	s.Nodes = nodes
	if err := writeState(c.l.stateFile(), s); err != nil {
		return err
	}
	for _, id := range identities(nodes) {
		if _, err := os.Stat(c.l.pki(id.file + ".crt")); errors.Is(err, os.ErrNotExist) {
			if err := ca.issue(c.l.pki(""), id); err != nil {
				return err
			}
		}
	}
	if err := writeKubeconfigs(c.l); err != nil {
		return err
	}
	out.say("adding %d nodes", nodes-old)
	for j := old + 1; j <= nodes; j++ {
		if err := c.startNode(&s, j); err != nil {
			return fmt.Errorf("start %s: %w", nodeName(j), err)
		}
		for i := 1; i <= old; i++ {
			if err := routeToNewNode(i, j); err != nil {
				return err
			}
		}
	}
	return c.waitNodes(ctx, out)
}

// startControlPlane starts the host's processes, pushes the images that nodes need
// to become Ready meanwhile, and waits for the API server.
func (c *Cluster) startControlPlane(ctx context.Context, s *state) error {
	services := []string{c.l.bin("cluster"), "serve", "--root", c.l.root}
	if err := os.MkdirAll(c.l.gitDir(), 0o755); err != nil {
		return err
	}
	commands := controlPlaneCommands(c.l)
	commands[Services] = services
	for _, name := range []string{Services, Etcd, APIServer} {
		if err := c.startProcess(s, name, commands[name]); err != nil {
			return err
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.pushBaseImages(gctx) })
	g.Go(func() error { return c.waitReady(gctx) })
	if err := g.Wait(); err != nil {
		return err
	}
	for _, name := range []string{ControllerManager, Scheduler} {
		if err := c.startProcess(s, name, commands[name]); err != nil {
			return err
		}
	}
	return nil
}

// startProcess starts and records a process.
func (c *Cluster) startProcess(s *state, name string, command []string) error {
	p, err := startDetached(c.l, command, c.l.log(name))
	if err != nil {
		return err
	}
	s.Processes[name] = p
	return writeState(c.l.stateFile(), *s)
}

// startNode starts the i-th node, its network included.
func (c *Cluster) startNode(s *state, i int) error {
	name := nodeName(i)
	if err := c.writeNodeFiles(i); err != nil {
		return err
	}
	if err := makeNodeNetwork(i, s.Nodes); err != nil {
		return err
	}
	config := filepath.Join(c.l.nodeDir(name), "node.json")
	if err := writeFile(config, mustJSON(nodeConfig(c.l, i)), 0o644); err != nil {
		return err
	}
	return c.startProcess(s, name, []string{c.l.bin("cluster"), "node", config})
}

// writeNodeFiles fills the layer that the i-th node has over the common root.
func (c *Cluster) writeNodeFiles(i int) error {
	name := nodeName(i)
	cfg := nodeConfig(c.l, i)
	for _, b := range cfg.Binds {
		if b.ReadOnly {
			continue // a file that is there
		}
		if err := os.MkdirAll(b.Source, 0o755); err != nil {
			return err
		}
	}
	trusted, err := os.ReadFile(filepath.Join(c.l.rootfs("node"), "etc/ssl/certs/ca-certificates.crt"))
	if err != nil {
		return err
	}
	files := nodeFiles(i, append(trusted, c.ca...), hasCapability(capSysResource))
	for in, from := range map[string]string{
		"node.crt": name + ".crt", "node.key": name + ".key", "ca.crt": "ca.crt",
		"kubelet.kubeconfig": name + ".kubeconfig", "kube-proxy.kubeconfig": "kube-proxy.kubeconfig",
	} {
		b, err := os.ReadFile(c.l.pki(from))
		if err != nil {
			return err
		}
		files["/etc/kubernetes/"+in] = b
	}
	for path, b := range files {
		mode := os.FileMode(0o644)
		if ext := filepath.Ext(path); ext == ".key" || ext == ".kubeconfig" {
			mode = 0o600
		}
		if err := writeFile(filepath.Join(cfg.Upper, path), b, mode); err != nil {
			return err
		}
	}
	return nil
}

// writeKubeconfigs makes a kubeconfig of every certificate that names a user.
func writeKubeconfigs(l layout) error {
	ca, err := os.ReadFile(l.pki("ca.crt"))
	if err != nil {
		return err
	}
	certs, err := filepath.Glob(l.pki("*.crt"))
	if err != nil {
		return err
	}
	for _, crt := range certs {
		base := crt[:len(crt)-len(".crt")]
		if filepath.Base(base) == "ca" {
			continue
		}
		cert, err := os.ReadFile(crt)
		if err != nil {
			return err
		}
		key, err := os.ReadFile(base + ".key")
		if err != nil {
			return err
		}
		if err := writeKubeconfig(base+".kubeconfig", ca, cert, key); err != nil {
			return err
		}
	}
	admin, err := os.ReadFile(l.pki("admin.kubeconfig"))
	if err != nil {
		return err
	}
	return writeFile(l.kubeconfig(), admin, 0o600)
}

func writeKubeconfig(path string, ca, cert, key []byte) error {
	const name = "interlock-local"
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters[name] = &clientcmdapi.Cluster{Server: apiServerURL, CertificateAuthorityData: ca}
	cfg.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: cert, ClientKeyData: key}
	cfg.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	cfg.CurrentContext = name
	b, err := clientcmd.Write(*cfg)
	if err != nil {
		return err
	}
	return writeFile(path, b, 0o600)
}

// ready asks the API server once.
func (c *Cluster) ready(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
}

func (c *Cluster) waitReady(ctx context.Context) error {
	return c.wait(ctx, 90*time.Second, "the API server", c.ready)
}

// waitNodes waits until every node is Ready.
func (c *Cluster) waitNodes(ctx context.Context, out *progress) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	start := time.Now()
	stop := out.every(10*time.Second, func() { out.say("waiting for the nodes, %s", time.Since(start).Round(time.Second)) })
	defer stop()
	return c.wait(ctx, 2*time.Minute, "the nodes", func(ctx context.Context) error {
		for _, name := range c.NodeNames() {
			n, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return fmt.Errorf("%s is not registered yet: %w", name, err)
			}
			for _, cond := range n.Status.Conditions {
				if cond.Type == corev1.NodeReady && cond.Status != corev1.ConditionTrue {
					return fmt.Errorf("%s: %s", name, cond.Message)
				}
			}
		}
		return nil
	})
}

// wait calls check until it succeeds. It gives up when a process of the cluster
// has ended, or after limit.
func (c *Cluster) wait(ctx context.Context, limit time.Duration, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		s, stateErr := readState(c.l.stateFile())
		if stateErr != nil {
			return stateErr
		}
		if dead := s.dead(); len(dead) > 0 {
			return fmt.Errorf("%s ended while waiting for %s; see %s", dead[0], what, c.l.log(dead[0]))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited for %s, but: %w; the logs are in %s", what, err, c.LogDir())
		case <-time.After(200 * time.Millisecond):
		}
	}
}
