//go:build linux

package cluster

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/interlock-dev/interlock/e2e/cluster/internal/node"
	"github.com/interlock-dev/interlock/e2e/cluster/internal/serve"
)

// RunServices is the process Services: it returns when ctx ends. It is for the
// command `cluster serve`, which Up starts.
func RunServices(ctx context.Context, root string) error {
	l, err := newLayout(root)
	if err != nil {
		return err
	}
	return serve.Run(ctx, serve.Config{
		RegistryAddr: registryHost, RegistryDir: l.registryDir(),
		GitTLSAddr: fmt.Sprintf("%s:%d", HostIP, gitTLSPort),
		GitAddr:    fmt.Sprintf("%s:%d", HostIP, gitPort),
		GitDir:     l.gitDir(),
		CertFile:   l.pki("server.crt"), KeyFile: l.pki("server.key"),
		Kubeconfig: l.kubeconfig(),
		VolumesDir: func(n string) string {
			return filepath.Join(l.nodeDir(filepath.Base(n)), "volumes")
		},
		NodeVolumesDir: storageDir,
	})
}

// RunNode is the process of one node. It is for the command `cluster node`, which
// Up starts.
func RunNode(configPath string, args []string) error { return node.Run(configPath, args) }
