package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/interlock-dev/interlock/e2e/cluster/internal/node"
)

// Names of the processes inside a node, for Cluster.NodeProcess.
const (
	Containerd = "containerd"
	Kubelet    = "kubelet"
	KubeProxy  = "kube-proxy"
)

// storageDir is where a node keeps persistent volumes, as the node sees it.
const storageDir = "/var/lib/interlock/volumes"

// cgroupPrefix starts the names of l's cgroups: those of two checkouts differ.
func cgroupPrefix(l layout) string {
	sum := sha256.Sum256([]byte(l.root))
	return "interlock-" + hex.EncodeToString(sum[:4]) + "-"
}

// nodeConfig says what the i-th node is made of.
func nodeConfig(l layout, i int) node.Config {
	name := nodeName(i)
	dir := func(sub string) string { return l.run("nodes", name, sub) }
	return node.Config{
		Name:   name,
		Netns:  netnsName(i),
		Cgroup: cgroupPrefix(l) + name,
		Lower:  l.rootfs("node"), Upper: dir("upper"), Work: dir("work"), Root: dir("root"),
		Binds: map[string]node.Bind{
			"/usr/local/bin/kube": {Source: l.bin("kube"), ReadOnly: true},
			// overlayfs on an overlay does not work: images need the real disk.
			"/var/lib/containerd": {Source: dir("containerd")},
			"/var/lib/kubelet":    {Source: dir("kubelet")},
			"/var/log":            {Source: dir("log")},
			storageDir:            {Source: dir("volumes")},
		},
		Services: []node.Service{
			{
				Name: Containerd, Log: l.log(name + "-" + Containerd),
				Command: []string{"/usr/bin/containerd", "--config", "/etc/containerd/config.toml"},
			},
			{
				Name: Kubelet, Log: l.log(name + "-" + Kubelet), WaitFor: "/run/containerd/containerd.sock",
				Command: append([]string{"/usr/local/bin/kube", Kubelet}, flags(map[string]string{
					"config":            "/etc/kubernetes/kubelet.yaml",
					"kubeconfig":        "/etc/kubernetes/kubelet.kubeconfig",
					"hostname-override": name,
					"node-ip":           nodeIP(i).String(),
				})...),
			},
			{
				Name: KubeProxy, Log: l.log(name + "-" + KubeProxy),
				Command: append([]string{"/usr/local/bin/kube", KubeProxy}, flags(kubeProxyFlags(name))...),
			},
		},
	}
}

func kubeProxyFlags(name string) map[string]string {
	return map[string]string{
		"kubeconfig":        "/etc/kubernetes/kube-proxy.kubeconfig",
		"hostname-override": name,
		"proxy-mode":        "nftables",
		// Only what comes from outside the pods is translated: a server sees the
		// address of the pod that calls it, through a Service too.
		"detect-local-mode":                 "ClusterCIDR",
		"cluster-cidr":                      PodCIDR,
		"oom-score-adj":                     "0",
		"metrics-bind-address":              "127.0.0.1:10249",
		"healthz-bind-address":              "127.0.0.1:10256",
		"conntrack-max-per-core":            "0", // these belong to the whole machine
		"conntrack-min":                     "0",
		"conntrack-tcp-timeout-established": "0s",
		"conntrack-tcp-timeout-close-wait":  "0s",
		"nodeport-addresses":                "primary",
	}
}

// nodeFiles are the files that the i-th node has over its root file system.
// mayRaisePriority is whether the machine lets a process lower its OOM score.
func nodeFiles(i int, caBundle []byte, mayRaisePriority bool) map[string][]byte {
	name := nodeName(i)
	return map[string][]byte{
		"/etc/hostname":                      []byte(name + "\n"),
		"/etc/hosts":                         fmt.Appendf(nil, "127.0.0.1 localhost\n%s %s\n", nodeIP(i), name),
		"/etc/resolv.conf":                   []byte("# Nodes look up no names; pods ask CoreDNS.\n"),
		"/etc/machine-id":                    []byte(machineID(name)),
		"/etc/ssl/certs/ca-certificates.crt": caBundle,
		"/etc/containerd/config.toml":        containerdConfig(mayRaisePriority),
		"/etc/cni/net.d/10-pods.conflist":    cniConfig(nodePodCIDR(i)),
		"/etc/kubernetes/kubelet.yaml":       kubeletConfig(),
	}
}

func machineID(name string) string {
	sum := sha256.Sum256([]byte("interlock local cluster " + name))
	return hex.EncodeToString(sum[:16]) + "\n"
}

// containerdConfig is for containerd 1.7, the format of its version 2.
func containerdConfig(mayRaisePriority bool) []byte {
	return fmt.Appendf(nil, `version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "%s"
  enable_unprivileged_ports = true
  restrict_oom_score_adj = %v
  max_concurrent_downloads = 4
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "/etc/cni/net.d"
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false
`, pauseImage(), !mayRaisePriority)
}

// pauseImage holds every pod's namespaces.
func pauseImage() string { return registryHost + "/pause:v1" }

// cniConfig routes every pod by itself. A bridge would carry the answers between
// two pods of a node past the node's address translation, which breaks Services
// unless the kernel filters bridged packets.
func cniConfig(pods netip.Prefix) []byte {
	return mustJSON(map[string]any{
		"cniVersion": "1.0.0",
		"name":       "pods",
		"plugins": []any{
			map[string]any{
				"type":   "ptp",
				"ipMasq": false,
				"mtu":    1500,
				"ipam": map[string]any{
					"type":    "host-local",
					"dataDir": "/run/cni-addresses",
					"ranges":  []any{[]any{map[string]any{"subnet": pods.String()}}},
					"routes":  []any{map[string]any{"dst": "0.0.0.0/0"}},
				},
			},
		},
	})
}

// kubeletConfig is the same on every node. JSON is YAML.
func kubeletConfig() []byte {
	return mustJSON(map[string]any{
		"apiVersion":               "kubelet.config.k8s.io/v1beta1",
		"kind":                     "KubeletConfiguration",
		"containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
		"tlsCertFile":              "/etc/kubernetes/node.crt",
		"tlsPrivateKeyFile":        "/etc/kubernetes/node.key",
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false},
			"webhook":   map[string]any{"enabled": true},
			"x509":      map[string]any{"clientCAFile": "/etc/kubernetes/ca.crt"},
		},
		"authorization": map[string]any{"mode": "Webhook"},
		"clusterDomain": ClusterDomain,
		"clusterDNS":    []string{DNSIP},
		"resolvConf":    "/etc/resolv.conf",
		// What a machine with cgroup v1, swap, or a shared disk needs.
		"cgroupDriver":                  "cgroupfs",
		"failCgroupV1":                  false,
		"failSwapOn":                    false,
		"localStorageCapacityIsolation": true,
		"oomScoreAdj":                   0,
		// The disk is the machine's: its filling up is not for kubelet to judge.
		"imageGCHighThresholdPercent": 100,
		"imageGCLowThresholdPercent":  99,
		"evictionHard":                map[string]string{"memory.available": "100Mi"},
		"serializeImagePulls":         false,
		"volumeStatsAggPeriod":        "0s",
		"nodeStatusUpdateFrequency":   "10s",
	})
}

func mustJSON(v any) []byte {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err) // a literal of strings, numbers and maps
	}
	return append(b, '\n')
}
