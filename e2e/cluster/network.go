//go:build linux

package cluster

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// netnsDir is where `ip netns` looks for network namespaces.
const netnsDir = "/run/netns"

// nobody owns a bridge that no cluster made.
const nobody = "another program"

// bridgeOwner returns the repository root whose cluster made the bridge, "" if
// there is no bridge, or nobody.
func bridgeOwner() (string, error) {
	link, err := netlink.LinkByName(Bridge)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look up bridge %s: %w", Bridge, err)
	}
	if owner, ok := strings.CutPrefix(link.Attrs().Alias, bridgeAlias("")); ok {
		return owner, nil
	}
	return nobody, nil
}

// bridgeAlias marks the bridge as one of root's cluster. The kernel keeps 255
// bytes of it.
func bridgeAlias(root string) string {
	s := "interlock:" + root
	return s[:min(len(s), 255)]
}

// claimBridge refuses a bridge of someone else.
func claimBridge(l layout) error {
	owner, err := bridgeOwner()
	if err != nil || owner == "" || bridgeAlias(owner) == bridgeAlias(l.root) {
		return err
	}
	if owner == nobody {
		return fmt.Errorf("there is a network device %[1]s that no local cluster made; remove it (`ip link del %[1]s`) if nothing needs it", Bridge)
	}
	return fmt.Errorf("the bridge %s belongs to the cluster of %s; a machine carries one local cluster: end that one first (`make down` there)", Bridge, owner)
}

// makeBridge makes the bridge with this machine's address on it.
func makeBridge(l layout) error {
	if err := checkAddressesFree(); err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = Bridge
	br := &netlink.Bridge{LinkAttrs: attrs}
	if err := netlink.LinkAdd(br); err != nil {
		return fmt.Errorf("make bridge %s: %w", Bridge, err)
	}
	if err := netlink.LinkSetAlias(br, bridgeAlias(l.root)); err != nil {
		return fmt.Errorf("mark bridge %s: %w", Bridge, err)
	}
	if err := addAddr(netlink.AddrAdd, br, HostIP); err != nil {
		return err
	}
	return netlink.LinkSetUp(br)
}

// checkAddressesFree refuses to take addresses that this machine already routes.
func checkAddressesFree() error {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	for _, cidr := range []string{NodeCIDR, PodCIDR, ServiceCIDR} {
		_, ours, err := net.ParseCIDR(cidr)
		if err != nil {
			return err
		}
		for _, r := range routes {
			if r.Dst == nil || r.Dst.IP.IsUnspecified() {
				continue
			}
			if ours.Contains(r.Dst.IP) || r.Dst.Contains(ours.IP) {
				return fmt.Errorf("this machine already routes %s, which the cluster needs %s of; free that route first", r.Dst, cidr)
			}
		}
	}
	return nil
}

func addAddr(add func(netlink.Link, *netlink.Addr) error, link netlink.Link, ip string) error {
	addr, err := netlink.ParseAddr(ip + "/24")
	if err != nil {
		return err
	}
	if err := add(link, addr); err != nil {
		return fmt.Errorf("give %s the address %s: %w", link.Attrs().Name, ip, err)
	}
	return nil
}

// makeNodeNetwork gives the i-th of n nodes its network namespace, its port on
// the bridge, and the routes to the pods of all others.
func makeNodeNetwork(i, n int) error {
	br, err := netlink.LinkByName(Bridge)
	if err != nil {
		return err
	}
	ns, err := makeNetns(netnsName(i))
	if err != nil {
		return err
	}
	defer ns.Close() //nolint:errcheck // the namespace stays, by its name
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = vethName(i), br.Attrs().Index
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns.Fd())}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("make %s: %w", attrs.Name, err)
	}
	if err := netlink.LinkSetUp(veth); err != nil {
		return err
	}
	if err := podRoute(netlink.RouteAdd, br, i); err != nil {
		return err
	}
	return configureInside(ns, i, n)
}

// podRoute sends the pods of the i-th node to that node.
func podRoute(add func(*netlink.Route) error, via netlink.Link, i int) error {
	dst := nodePodCIDR(i)
	err := add(&netlink.Route{
		LinkIndex: via.Attrs().Index,
		Dst:       &net.IPNet{IP: dst.Addr().AsSlice(), Mask: net.CIDRMask(dst.Bits(), 32)},
		Gw:        nodeIP(i).AsSlice(),
	})
	if err != nil {
		return fmt.Errorf("route %s: %w", dst, err)
	}
	return nil
}

func configureInside(ns *os.File, i, n int) error {
	h, err := netlinkIn(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	for _, dev := range []string{"lo", "eth0"} {
		link, err := h.LinkByName(dev)
		if err != nil {
			return err
		}
		if dev == "eth0" {
			if err := addAddr(h.AddrAdd, link, nodeIP(i).String()); err != nil {
				return err
			}
		}
		if err := h.LinkSetUp(link); err != nil {
			return err
		}
	}
	eth0, err := h.LinkByName("eth0")
	if err != nil {
		return err
	}
	if err := h.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Gw: net.ParseIP(HostIP)}); err != nil {
		return fmt.Errorf("default route of %s: %w", nodeName(i), err)
	}
	for j := 1; j <= n; j++ {
		if j != i {
			if err := podRoute(h.RouteReplace, eth0, j); err != nil {
				return err
			}
		}
	}
	return nil
}

// routeToNewNode tells the i-th node, which runs, of the j-th one.
func routeToNewNode(i, j int) error {
	ns, err := os.Open(filepath.Join(netnsDir, netnsName(i)))
	if err != nil {
		return err
	}
	defer ns.Close() //nolint:errcheck // read only
	h, err := netlinkIn(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	eth0, err := h.LinkByName("eth0")
	if err != nil {
		return err
	}
	return podRoute(h.RouteReplace, eth0, j)
}

// makeNetns makes a network namespace that lives until its name is removed.
func makeNetns(name string) (*os.File, error) {
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(netnsDir, name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return nil, fmt.Errorf("make network namespace: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	errc := make(chan error)
	go func() {
		// The thread is thrown away with its namespace when this function ends.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			errc <- fmt.Errorf("make a network namespace: %w", err)
			return
		}
		self := fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
		errc <- unix.Mount(self, path, "none", unix.MS_BIND, "")
	}()
	if err := <-errc; err != nil {
		return nil, err
	}
	return os.Open(path)
}

// removeNetwork removes the bridge, the veths, the routes and the namespaces of
// l's cluster; what belongs to another root is left alone.
func removeNetwork(l layout) error {
	if claimBridge(l) != nil {
		return nil
	}
	var errs []error
	names, _ := filepath.Glob(filepath.Join(netnsDir, netnsName(0)[:len("ilk-node")]+"*"))
	for _, path := range names {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", path, err))
		}
		errs = append(errs, os.Remove(path))
	}
	for i := 1; i <= MaxNodes; i++ {
		errs = append(errs, removeLink(vethName(i)))
	}
	return errors.Join(append(errs, removeLink(Bridge))...)
}

func removeLink(name string) error {
	link, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

func netlinkIn(ns *os.File) (*netlink.Handle, error) {
	h, err := netlink.NewHandleAt(netns.NsHandle(int(ns.Fd())))
	if err != nil {
		return nil, fmt.Errorf("enter %s: %w", ns.Name(), err)
	}
	return h, nil
}
