package cluster

import (
	"fmt"
	"net/netip"
	"path/filepath"
)

// The addresses of a cluster. They are fixed, so that images, certificates and
// kubeconfigs stay valid over a restart, and chosen to be unlikely on a machine
// or in the network around it.
const (
	// Bridge is the network device that joins the nodes and this machine.
	Bridge = "ilk0"
	// HostIP is this machine on the bridge: API server, registry, Git server.
	HostIP = "10.189.0.1"
	// NodeCIDR holds HostIP and the nodes.
	NodeCIDR = "10.189.0.0/24"
	// PodCIDR holds a /24 of pod addresses per node.
	PodCIDR = "10.190.0.0/16"
	// ServiceCIDR holds the ClusterIPs. They exist inside the nodes only.
	ServiceCIDR = "10.191.0.0/16"
	// ServiceIP is the ClusterIP of the API server.
	ServiceIP = "10.191.0.1"
	// DNSIP is the ClusterIP of CoreDNS.
	DNSIP = "10.191.0.10"
	// ClusterDomain ends every DNS name of a Service.
	ClusterDomain = "cluster.local"

	// KubernetesVersion is what the cluster runs.
	KubernetesVersion = "v1.36.4"
	// MaxNodes bounds Options.Nodes.
	MaxNodes = 20

	apiPort      = 6443
	registryPort = 5000
	gitTLSPort   = 3443
	gitPort      = 3080
	// etcd listens on loopback, where only root of this machine has its key.
	etcdClientPort = 23790
	etcdPeerPort   = 23800
)

// apiServerURL is where everything finds the API server, on the host and in nodes.
var apiServerURL = fmt.Sprintf("https://%s:%d", HostIP, apiPort)

// registryHost is the registry as it stands before the slash in an image reference.
var registryHost = fmt.Sprintf("%s:%d", HostIP, registryPort)

// nodeName is the name of the i-th node, from 1.
func nodeName(i int) string { return fmt.Sprintf("node%d", i) }

// nodeIP is the address of the i-th node on the bridge.
func nodeIP(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 189, 0, byte(10 + i)})
}

// nodePodCIDR is where the i-th node takes its pods' addresses from.
func nodePodCIDR(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 190, byte(i), 0}), 24)
}

// netnsName is the network namespace of the i-th node, under /run/netns.
func netnsName(i int) string { return "ilk-" + nodeName(i) }

// vethName is the i-th node's port on the bridge.
func vethName(i int) string { return fmt.Sprintf("ilkv%d", i) }

// layout is where everything of one checkout lies on disk.
type layout struct{ root string }

func newLayout(root string) (layout, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return layout{}, fmt.Errorf("repository root %q: %w", root, err)
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return layout{}, fmt.Errorf("repository root: %w", err)
	}
	return layout{root: abs}, nil
}

func (l layout) local(parts ...string) string {
	return filepath.Join(append([]string{l.root, ".local"}, parts...)...)
}

// What outlives a cluster.
func (l layout) bin(name string) string     { return l.local("bin", name) }
func (l layout) rootfs(name string) string  { return l.local("cache", "rootfs", name) }
func (l layout) caDir() string              { return l.local("cache", "pki") }
func (l layout) registryDir() string        { return l.local("cache", "registry") }
func (l layout) lockFile() string           { return l.local("cluster.lock") }
func (l layout) certManagerCRDs() string    { return l.local("bin", "cert-manager-crds") }
func (l layout) moduleDir() string          { return filepath.Join(l.root, "e2e", "cluster") }
func (l layout) componentsDir() string      { return filepath.Join(l.moduleDir(), "components") }
func (l layout) run(parts ...string) string { return l.local(append([]string{"cluster"}, parts...)...) }

// What is gone after down.
func (l layout) stateFile() string          { return l.run("state.json") }
func (l layout) kubeconfig() string         { return l.run("kubeconfig") }
func (l layout) pki(name string) string     { return l.run("pki", name) }
func (l layout) log(name string) string     { return l.run("logs", name+".log") }
func (l layout) gitDir() string             { return l.run("git") }
func (l layout) nodeDir(node string) string { return l.run("nodes", node) }
