package harness

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/interlock-dev/interlock/e2e/cluster"
)

// program is a binary that is built from this repository.
type program struct{ name, pkg, ldflags string }

const operatorProgram = "interlock"

var programs = []program{
	{operatorProgram, "./operator", ""},
	{"shop-1", "./examples/shop/app", "-X main.version=1"},
	{"shop-2", "./examples/shop/app", "-X main.version=2"},
	{"shop-migrate", "./examples/shop/migrate", ""},
}

// Missing lists the programs of this repository that were never built here.
func Missing(root string) []string {
	var missing []string
	for _, p := range programs {
		if _, err := os.Stat(binary(root, p.name)); err != nil {
			missing = append(missing, p.name)
		}
	}
	return missing
}

func binary(root, name string) string { return filepath.Join(root, ".local", "bin", name) }

// buildAll builds every program; what did not change takes a second or two.
func buildAll(ctx context.Context, root string, say func(string, ...any)) error {
	for _, p := range programs {
		start := time.Now()
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w "+p.ldflags, "-o", binary(root, p.name), p.pkg)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly")
		if b, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build %s: %w\n%s", p.pkg, err, b)
		}
		if took := time.Since(start); took > 3*time.Second {
			say("built %s in %s", p.name, took.Round(time.Second))
		}
	}
	return nil
}

// pushExample pushes both versions of the shop, its migrator, and PostgreSQL.
func (e *Env) pushExample(ctx context.Context) error {
	for _, i := range []struct{ name, tag, binary string }{
		{"shop", "1", "shop-1"},
		{"shop", "2", "shop-2"},
		{"shop-migrate", "1", "shop-migrate"},
	} {
		// The entry point is the same for every tag: only the content differs.
		if _, err := e.Cluster.PushBinary(ctx, i.name, i.tag, binary(e.Root, i.binary)); err != nil {
			return err
		}
	}
	return e.pushPostgres(ctx)
}

func (e *Env) pushPostgres(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, filepath.Join(e.Root, "hack", "rootfs.sh"), "postgres").Output()
	if err != nil {
		return fmt.Errorf("hack/rootfs.sh postgres: %w; run it by hand to see why", err)
	}
	dir := string(out[:len(out)-1])
	_, err = e.Cluster.PushRootfs(ctx, "postgres", "17", dir, cluster.WithUser("0:0"))
	return err
}

// pushOperator pushes the operator under a tag that changes with its content, so that nodes pull it.
func (e *Env) pushOperator(ctx context.Context) (tag string, err error) {
	f, err := os.Open(binary(e.Root, operatorProgram))
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	tag = hex.EncodeToString(sum.Sum(nil))[:12]
	_, err = e.Cluster.PushBinary(ctx, operatorProgram, tag, f.Name())
	return tag, err
}
