package serve

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// Config says where to serve what.
type Config struct {
	RegistryAddr string // host:port, TLS
	RegistryDir  string // where image layers are kept

	GitAddr    string // host:port, plain
	GitTLSAddr string // host:port, TLS
	GitDir     string // repositories, NAME.git

	CertFile, KeyFile string

	Kubeconfig string
	// VolumesDir is where the nodes' volumes lie on the host, given a node's name.
	VolumesDir func(node string) string
	// NodeVolumesDir is the same directory as a node sees it.
	NodeVolumesDir string
}

// Run serves until ctx ends or a listener fails.
func Run(ctx context.Context, c Config) error {
	if err := os.MkdirAll(c.RegistryDir, 0o755); err != nil {
		return err
	}
	images := registry.New(
		registry.WithBlobHandler(registry.NewDiskBlobHandler(c.RegistryDir)),
		registry.Logger(log.Default()),
	)
	git, err := NewGit(c.GitDir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	for _, s := range []struct {
		addr    string
		tls     bool
		handler http.Handler
	}{
		{c.RegistryAddr, true, images},
		{c.GitTLSAddr, true, git},
		{c.GitAddr, false, git},
	} {
		l, err := net.Listen("tcp", s.addr)
		if err != nil {
			cancel(nil)
			return fmt.Errorf("listen: %w", err)
		}
		srv := &http.Server{Handler: s.handler, ReadHeaderTimeout: 10 * time.Second}
		context.AfterFunc(ctx, func() { _ = srv.Close() })
		go func() {
			if s.tls {
				cancel(srv.ServeTLS(l, c.CertFile, c.KeyFile))
			} else {
				cancel(srv.Serve(l))
			}
		}()
	}
	go func() { cancel(provision(ctx, c)) }()
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
