package cluster

import (
	"fmt"
	"slices"
)

// Names of the processes that run on the host, for Cluster.Process.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	// Services is the image registry, the Git server and the volume provisioner.
	Services = "services"
)

// RequestTimeout is how long the API server works on one request, in seconds.
// Interlock's admission fence waits it out, so tests would wait the default 60 s.
const RequestTimeout = 15

// flags renders name=value pairs as command line flags, sorted.
func flags(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for k, v := range m {
		out = append(out, fmt.Sprintf("--%s=%s", k, v))
	}
	slices.Sort(out)
	return out
}

// controlPlaneCommands are the command lines of the host's Kubernetes processes.
func controlPlaneCommands(l layout) map[string][]string {
	kube := l.bin("kube")
	command := func(name string, m map[string]string) []string {
		return append([]string{kube, name}, flags(m)...)
	}
	return map[string][]string{
		Etcd:      command(Etcd, etcdFlags(l)),
		APIServer: command(APIServer, apiServerFlags(l)),
		ControllerManager: command(ControllerManager, map[string]string{
			"kubeconfig":                       l.pki("controller-manager.kubeconfig"),
			"service-account-private-key-file": l.pki("service-accounts.key"),
			"root-ca-file":                     l.pki("ca.crt"),
			"cluster-signing-cert-file":        l.pki("ca.crt"),
			"cluster-signing-key-file":         l.pki("ca.key"),
			"use-service-account-credentials":  "true",
			"cluster-cidr":                     PodCIDR,
			"allocate-node-cidrs":              "false",
			"leader-elect":                     "false", // there is one, and it starts sooner
			"secure-port":                      "0",
			"kube-api-qps":                     "100",
			"kube-api-burst":                   "200",
		}),
		Scheduler: command(Scheduler, map[string]string{
			"kubeconfig":   l.pki("scheduler.kubeconfig"),
			"leader-elect": "false",
			"secure-port":  "0",
		}),
	}
}

func etcdFlags(l layout) map[string]string {
	client := fmt.Sprintf("https://127.0.0.1:%d", etcdClientPort)
	peer := fmt.Sprintf("https://127.0.0.1:%d", etcdPeerPort)
	return map[string]string{
		"name":                        "local",
		"data-dir":                    l.run("etcd"),
		"listen-client-urls":          client,
		"advertise-client-urls":       client,
		"listen-peer-urls":            peer,
		"initial-advertise-peer-urls": peer,
		"initial-cluster":             "local=" + peer,
		"cert-file":                   l.pki("etcd.crt"),
		"key-file":                    l.pki("etcd.key"),
		"trusted-ca-file":             l.pki("ca.crt"),
		"client-cert-auth":            "true",
		"peer-cert-file":              l.pki("etcd.crt"),
		"peer-key-file":               l.pki("etcd.key"),
		"peer-trusted-ca-file":        l.pki("ca.crt"),
		"peer-client-cert-auth":       "true",
		"unsafe-no-fsync":             "true", // the cluster is not kept over a crash of the machine
		"log-level":                   "warn",
	}
}

func apiServerFlags(l layout) map[string]string {
	return map[string]string{
		"bind-address":                     HostIP,
		"advertise-address":                HostIP,
		"secure-port":                      fmt.Sprint(apiPort),
		"tls-cert-file":                    l.pki("apiserver.crt"),
		"tls-private-key-file":             l.pki("apiserver.key"),
		"client-ca-file":                   l.pki("ca.crt"),
		"etcd-servers":                     fmt.Sprintf("https://127.0.0.1:%d", etcdClientPort),
		"etcd-cafile":                      l.pki("ca.crt"),
		"etcd-certfile":                    l.pki("etcd.crt"),
		"etcd-keyfile":                     l.pki("etcd.key"),
		"authorization-mode":               "Node,RBAC",
		"enable-admission-plugins":         "NodeRestriction",
		"allow-privileged":                 "true",
		"service-cluster-ip-range":         ServiceCIDR,
		"service-account-issuer":           "https://kubernetes.default.svc." + ClusterDomain,
		"service-account-key-file":         l.pki("service-accounts.key"),
		"service-account-signing-key-file": l.pki("service-accounts.key"),
		"kubelet-client-certificate":       l.pki("apiserver-kubelet-client.crt"),
		"kubelet-client-key":               l.pki("apiserver-kubelet-client.key"),
		"kubelet-certificate-authority":    l.pki("ca.crt"),
		"kubelet-preferred-address-types":  "InternalIP",
		"enable-aggregator-routing":        "true", // ClusterIPs do not exist on the host
		"request-timeout":                  fmt.Sprintf("%ds", RequestTimeout),
		"profiling":                        "false",
	}
}
