//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Options say which cluster is wanted.
type Options struct {
	// Root is the repository's root. Empty: found from the working directory up.
	Root string
	// Nodes is how many nodes there shall be at least. 0 means 2.
	Nodes int
	// Out gets progress for people. nil means none.
	Out io.Writer
}

// Cluster is a running cluster. Its methods may be called from any goroutine,
// Up and Down excepted.
type Cluster struct {
	l  layout
	ca []byte
}

// FindRoot returns the root of the repository that dir is in.
func FindRoot(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for d := abs; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "e2e", "cluster", "components", "go.mod")); err == nil {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("%s is not inside the repository", abs)
		}
	}
}

func layoutOf(root string) (layout, error) {
	if root == "" {
		found, err := FindRoot(".")
		if err != nil {
			return layout{}, err
		}
		root = found
	}
	return newLayout(root)
}

// Attach returns the cluster that runs for this repository. Empty root: found from
// the working directory up.
func Attach(root string) (*Cluster, error) {
	l, err := layoutOf(root)
	if err != nil {
		return nil, err
	}
	s, err := readState(l.stateFile())
	if err != nil {
		return nil, err
	}
	if len(s.Processes) == 0 {
		return nil, errors.New("no cluster runs here; start one with `cluster up`")
	}
	if dead := s.dead(); len(dead) > 0 {
		return nil, fmt.Errorf("the cluster is not whole (not running: %s); `cluster up` makes a new one", strings.Join(dead, ", "))
	}
	if !s.Ready {
		return nil, errors.New("the cluster is still being started, or its start was broken off; `cluster up` makes a new one")
	}
	return attach(l)
}

func attach(l layout) (*Cluster, error) {
	ca, err := os.ReadFile(l.pki("ca.crt"))
	if err != nil {
		return nil, err
	}
	return &Cluster{l: l, ca: ca}, nil
}

// dead lists what was started and does not run any more.
func (s state) dead() []string {
	var out []string
	for name, p := range s.Processes {
		if s.BootID != bootID() || !p.alive() {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// KubeconfigPath is a kubeconfig with every right (group system:masters).
func (c *Cluster) KubeconfigPath() string { return c.l.kubeconfig() }

// RESTConfig is the same as a client configuration, without client-side throttling.
func (c *Cluster) RESTConfig() (*rest.Config, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", c.l.kubeconfig())
	if err != nil {
		return nil, err
	}
	cfg.QPS = -1
	return cfg, nil
}

// CACert is the certificate, in PEM, that the API server, the registry and the Git
// server are signed with.
func (c *Cluster) CACert() []byte { return slices.Clone(c.ca) }

// BinDir holds kube, kubectl, cluster and the other binaries.
func (c *Cluster) BinDir() string { return c.l.bin("") }

// LogDir holds one file per process: NAME.log, and NODE-NAME.log inside nodes.
func (c *Cluster) LogDir() string { return c.l.run("logs") }

// RootfsDir is what `hack/rootfs.sh NAME` built.
func (c *Cluster) RootfsDir(name string) string { return c.l.rootfs(name) }

// NodeNames lists the nodes in order.
func (c *Cluster) NodeNames() []string {
	s, err := readState(c.l.stateFile())
	if err != nil {
		return nil
	}
	var out []string
	for i := 1; i <= s.Nodes; i++ {
		out = append(out, nodeName(i))
	}
	return out
}

// NodeAddr is the IP address of a node, "" if there is none of that name.
func (c *Cluster) NodeAddr(node string) string {
	if i := slices.Index(c.NodeNames(), node); i >= 0 {
		return nodeIP(i + 1).String()
	}
	return ""
}

// IngressAddr is where the ingress controller serves TLS, as ip:port. The same
// works on port 80 without TLS, and on every other node.
func (c *Cluster) IngressAddr() string { return nodeIP(1).String() + ":443" }

// VolumesDir is where persistent volumes of a node lie on the host, each in a
// directory of its PersistentVolume's name.
func (c *Cluster) VolumesDir(node string) string {
	return filepath.Join(c.l.nodeDir(node), "volumes")
}

func (c *Cluster) client() (kubernetes.Interface, error) {
	cfg, err := c.RESTConfig()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(cfg)
}

// lock keeps two commands on one checkout apart, until unlock or the end of this
// process.
func lock(ctx context.Context, l layout, out *progress) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(l.lockFile()), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(l.lockFile(), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for told := false; ; told = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(err, f.Close())
		}
		if !told {
			out.say("another command works on this cluster; waiting for it")
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(200 * time.Millisecond):
		}
	}
}
