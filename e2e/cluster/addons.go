//go:build linux

package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"github.com/interlock-dev/interlock/e2e/cluster/internal/serve"
	"github.com/interlock-dev/interlock/e2e/cluster/manifests"
)

// addon is what the templates in manifests may use.
type addon struct {
	Image, ClusterDomain, DNSIP, Provisioner string
}

// addonTag changes with the binary, so that nodes pull it.
func (c *Cluster) addonTag(name string) (string, error) {
	b, err := os.ReadFile(c.l.bin("." + name + ".stamp"))
	if err != nil || len(b) < 12 {
		return "", fmt.Errorf("%s is not built; run `cluster build` (%w)", name, err)
	}
	return string(b[:12]), nil
}

// applyAddon pushes the binary name, renders the template and applies it.
func (c *Cluster) applyAddon(ctx context.Context, name, manifest string) error {
	tag, err := c.addonTag(name)
	if err != nil {
		return err
	}
	ref, err := c.PushBinary(ctx, name, tag, c.l.bin(name))
	if err != nil {
		return err
	}
	t, err := template.ParseFS(manifests.FS, manifest)
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	err = t.Execute(&buf, addon{Image: ref, ClusterDomain: ClusterDomain, DNSIP: DNSIP, Provisioner: serve.Provisioner})
	if err != nil {
		return err
	}
	return c.Apply(ctx, buf.Bytes())
}

// pushBaseImages pushes what nodes need before anything else runs on them. The
// registry was started a moment ago.
func (c *Cluster) pushBaseImages(ctx context.Context) error {
	return c.wait(ctx, 30*time.Second, "the image registry", func(ctx context.Context) error {
		_, err := c.PushBinary(ctx, "pause", "v1", c.l.bin("pause"))
		return err
	})
}

// applyBase applies what every cluster has: DNS and a storage class.
func (c *Cluster) applyBase(ctx context.Context) error {
	return c.applyAddon(ctx, "coredns", "base.yaml")
}

// InstallCertManager installs cert-manager's CRDs and controllers (issuers of the
// types SelfSigned and CA) and waits until they run. Doing it twice is fine.
func (c *Cluster) InstallCertManager(ctx context.Context) error {
	crds, err := filepath.Glob(filepath.Join(c.l.certManagerCRDs(), "*.yaml"))
	if err != nil || len(crds) == 0 {
		return fmt.Errorf("cert-manager is not built; run `cluster build` (%w)", err)
	}
	for _, f := range crds {
		b, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if err := c.Apply(ctx, b); err != nil {
			return err
		}
	}
	if err := c.waitCRDs(ctx); err != nil {
		return err
	}
	if err := c.applyAddon(ctx, "cert-manager", "cert-manager.yaml"); err != nil {
		return err
	}
	return c.waitWorkload(ctx, newProgress(nil), "cert-manager", "Deployment", "cert-manager")
}

// InstallIngress installs the ingress controller on every node and waits until it
// serves. It is the default IngressClass, named "local". Doing it twice is fine.
func (c *Cluster) InstallIngress(ctx context.Context) error {
	if err := c.applyAddon(ctx, "ingress", "ingress.yaml"); err != nil {
		return err
	}
	return c.waitWorkload(ctx, newProgress(nil), "ingress", "DaemonSet", "ingress")
}
