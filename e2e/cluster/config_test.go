//go:build linux

package cluster

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-dev/interlock/e2e/cluster/internal/node"
)

func TestAddressesOfNodes(t *testing.T) {
	nodes, pods := netip.MustParsePrefix(NodeCIDR), netip.MustParsePrefix(PodCIDR)
	services := netip.MustParsePrefix(ServiceCIDR)
	if !nodes.Contains(netip.MustParseAddr(HostIP)) || !services.Contains(netip.MustParseAddr(DNSIP)) || !services.Contains(netip.MustParseAddr(ServiceIP)) {
		t.Error("a fixed address lies outside its network")
	}
	if nodes.Overlaps(pods) || pods.Overlaps(services) || nodes.Overlaps(services) {
		t.Error("networks overlap")
	}
	seen := map[netip.Addr]bool{netip.MustParseAddr(HostIP): true}
	for i := 1; i <= MaxNodes; i++ {
		ip, cidr := nodeIP(i), nodePodCIDR(i)
		if seen[ip] || seen[cidr.Addr()] {
			t.Errorf("node %d shares an address", i)
		}
		seen[ip], seen[cidr.Addr()] = true, true
		if !nodes.Contains(ip) || !pods.Overlaps(cidr) || cidr.Bits() != 24 {
			t.Errorf("node %d has %s and %s", i, ip, cidr)
		}
		if n := len(vethName(i)); n > 15 {
			t.Errorf("device name %s is longer than the kernel takes", vethName(i))
		}
	}
}

func TestNodeConfig(t *testing.T) {
	l := layout{root: "/r"}
	one, two := nodeConfig(l, 1), nodeConfig(l, 2)
	if one.Name != "node1" || one.Netns != "ilk-node1" || one.Lower != two.Lower {
		t.Errorf("got %+v", one)
	}
	for name, differ := range map[string]bool{
		"upper": one.Upper != two.Upper, "root": one.Root != two.Root, "cgroup": one.Cgroup != two.Cgroup, "netns": one.Netns != two.Netns,
		"containerd": one.Binds["/var/lib/containerd"] != two.Binds["/var/lib/containerd"],
	} {
		if !differ {
			t.Errorf("two nodes share their %s", name)
		}
	}
	if cgroupPrefix(l) == cgroupPrefix(layout{root: "/s"}) {
		t.Error("two checkouts share their cgroups")
	}
	for _, s := range one.Services {
		if !strings.HasPrefix(s.Log, "/r/.local/cluster/logs/node1-") {
			t.Errorf("%s logs to %s", s.Name, s.Log)
		}
	}
	var back node.Config
	if err := json.Unmarshal(mustJSON(one), &back); err != nil || back.Services[1].WaitFor == "" {
		t.Errorf("read back %+v, %v", back, err)
	}
}

// A server must see the address of the pod that calls it.
func TestPodAddressesAreNotTranslated(t *testing.T) {
	f := kubeProxyFlags("node1")
	if f["cluster-cidr"] != PodCIDR || f["detect-local-mode"] != "ClusterCIDR" {
		t.Errorf("kube-proxy takes %q by %q for pods", f["cluster-cidr"], f["detect-local-mode"])
	}
	var cni struct {
		Plugins []struct {
			Type   string
			IPMasq bool
			IPAM   struct{ Ranges [][]struct{ Subnet string } }
		}
	}
	if err := json.Unmarshal(cniConfig(nodePodCIDR(2)), &cni); err != nil {
		t.Fatal(err)
	}
	p := cni.Plugins[0]
	if p.IPMasq || p.IPAM.Ranges[0][0].Subnet != "10.190.2.0/24" {
		t.Errorf("got %+v", p)
	}
}

func TestContainerdConfigFollowsTheMachine(t *testing.T) {
	for may, want := range map[bool]string{true: "restrict_oom_score_adj = false", false: "restrict_oom_score_adj = true"} {
		if got := string(containerdConfig(may)); !strings.Contains(got, want) || !strings.Contains(got, pauseImage()) {
			t.Errorf("may lower scores %v: want %q in\n%s", may, want, got)
		}
	}
}

func TestControlPlaneCommands(t *testing.T) {
	cmds := controlPlaneCommands(layout{root: "/r"})
	api := cmds[APIServer]
	for _, want := range []string{"--request-timeout=15s", "--bind-address=" + HostIP, "--authorization-mode=Node,RBAC"} {
		if !slices.Contains(api, want) {
			t.Errorf("the API server lacks %s: %v", want, api)
		}
	}
	for name, cmd := range cmds {
		if cmd[0] != "/r/.local/bin/kube" || cmd[1] != name {
			t.Errorf("%s is started by %v", name, cmd[:2])
		}
	}
	for _, f := range cmds[Etcd] {
		if strings.Contains(f, "://") && !strings.Contains(f, "https://127.0.0.1:") {
			t.Errorf("etcd listens for others: %s", f)
		}
	}
}

func TestBridgeAliasFitsTheKernel(t *testing.T) {
	long := "/" + strings.Repeat("x", 400)
	if got := bridgeAlias(long); len(got) != 255 {
		t.Errorf("%d bytes", len(got))
	}
	if bridgeAlias("/a") == bridgeAlias("/b") {
		t.Error("two roots share their mark")
	}
}
