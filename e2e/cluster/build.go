//go:build linux

package cluster

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// target is a binary that a cluster is made of.
type target struct {
	name    string
	what    string  // for people
	minutes float64 // of one processor, nothing cached
	dir     string  // of the module
	pkg     string  // relative to dir
	sources []string
	ldflags string
}

func targets(l layout) []target {
	version := strings.Join([]string{
		"-X k8s.io/component-base/version.gitVersion=" + KubernetesVersion,
		"-X k8s.io/component-base/version.gitMajor=1",
		"-X k8s.io/component-base/version.gitMinor=" + strings.Split(KubernetesVersion, ".")[1],
		"-X k8s.io/component-base/version.gitTreeState=clean",
	}, " ")
	component := func(name, what string, minutes float64, ldflags string) target {
		return target{
			name: name, what: what, minutes: minutes, ldflags: ldflags,
			dir: l.componentsDir(), pkg: "./" + name,
			sources: []string{"go.mod", "go.sum", name},
		}
	}
	own := func(name, what string, sources ...string) target {
		return target{name: name, what: what, minutes: 0.3, dir: l.moduleDir(), pkg: "./cmd/" + name, sources: sources}
	}
	return []target{
		own("pause", "what holds a pod's namespaces", "go.mod", "cmd/pause"),
		own("cluster", "this command", "go.mod", "go.sum", ".", "cmd", "internal", "manifests"),
		component("kube", "Kubernetes "+KubernetesVersion+": etcd, control plane, kubelet, kubectl", 16, version),
		component("coredns", "CoreDNS", 1, ""),
		component("cert-manager", "cert-manager's controllers", 0.5, ""),
		component("ingress", "the ingress controller", 0.2, ""),
	}
}

// stamp changes when the target has to be built again.
func (t target) stamp() (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %s %s\n", runtime.Version(), runtime.GOARCH, t.pkg, t.ldflags) //nolint:errcheck // a hash takes everything
	for _, s := range t.sources {
		top := filepath.Join(t.dir, s)
		err := filepath.WalkDir(top, func(p string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if e.IsDir() {
				if s == "." && p != top {
					return fs.SkipDir
				}
				return nil
			}
			if strings.HasSuffix(p, "_test.go") || strings.HasSuffix(p, ".md") {
				return nil
			}
			b, err := os.ReadFile(p)
			fmt.Fprintf(h, "%s %d\n%s", p, len(b), b) //nolint:errcheck // as above
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (t target) stampFile(l layout) string { return l.bin("." + t.name + ".stamp") }

func (t target) current(l layout) bool {
	want, err := t.stamp()
	if err != nil {
		return false
	}
	have, err := os.ReadFile(t.stampFile(l))
	if err != nil || string(have) != want {
		return false
	}
	_, err = os.Stat(l.bin(t.name))
	return err == nil
}

// Build builds what is missing of a cluster's binaries and root file systems. It
// tells beforehand what that is and how long it takes, and what it does at least
// every 15 seconds.
func Build(ctx context.Context, o Options) error {
	l, err := layoutOf(o.Root)
	if err != nil {
		return err
	}
	if err := preflight(); err != nil {
		return err
	}
	return build(ctx, l, newProgress(o.Out))
}

func build(ctx context.Context, l layout, out *progress) error {
	var missing []target
	var minutes float64
	for _, t := range targets(l) {
		if !t.current(l) {
			missing = append(missing, t)
			minutes += t.minutes
		}
	}
	announce(out, missing, minutes)
	var rootfsErr error
	var wg sync.WaitGroup
	wg.Go(func() { rootfsErr = buildRootfs(ctx, l, out) })
	defer wg.Wait()
	for _, t := range missing {
		if err := t.build(ctx, l, out); err != nil {
			return err
		}
	}
	wg.Wait()
	if rootfsErr != nil {
		return rootfsErr
	}
	return linkTools(l)
}

func announce(out *progress, missing []target, minutes float64) {
	if len(missing) == 0 {
		return
	}
	var names []string
	for _, t := range missing {
		names = append(names, t.name)
	}
	wall := minutes / float64(min(runtime.NumCPU(), 8)) * 1.2
	out.say("to build: %s; about %d minutes on %d processors the first time, much less if Go has built them before",
		strings.Join(names, ", "), max(1, int(wall+0.5)), runtime.NumCPU())
}

// build runs the compiler with low priority, so that the machine stays usable.
func (t target) build(ctx context.Context, l layout, out *progress) error {
	want, err := t.stamp()
	if err != nil {
		return err
	}
	start := time.Now()
	out.say("building %s (%s)", t.name, t.what)
	cmd := exec.CommandContext(ctx, "nice", "-n", "5", "go", "build", "-v", "-trimpath",
		"-ldflags", strings.TrimSpace("-s -w "+t.ldflags), "-o", l.bin(t.name)+".new", t.pkg)
	cmd.Dir = t.dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOWORK=off")
	// -v names each package as it is compiled, and errors come between.
	var count atomic.Int64
	var tail bytes.Buffer
	pr, pw := io.Pipe()
	cmd.Stdout, cmd.Stderr = pw, pw
	var wg sync.WaitGroup
	wg.Go(func() {
		for sc := bufio.NewScanner(pr); sc.Scan(); count.Add(1) {
			if line := sc.Text(); strings.ContainsAny(line, " :") && tail.Len() < 8192 {
				tail.WriteString(line + "\n")
			}
		}
		_, _ = io.Copy(io.Discard, pr) // a line too long ends the scanner, not the build
	})
	stop := out.every(10*time.Second, func() {
		out.say("building %s: %d packages compiled, %s", t.name, count.Load(), time.Since(start).Round(time.Second))
	})
	err = cmd.Run()
	stop()
	_ = pw.Close() // never fails
	wg.Wait()
	if err != nil {
		return fmt.Errorf("build %s: %w\n%s", t.name, err, tail.String())
	}
	if err := os.Rename(l.bin(t.name)+".new", l.bin(t.name)); err != nil {
		return err
	}
	if t.name == "cert-manager" {
		if err := copyCRDs(ctx, l); err != nil {
			return err
		}
	}
	out.say("built %s in %s", t.name, time.Since(start).Round(time.Second))
	return writeFile(t.stampFile(l), []byte(want), 0o644)
}

// copyCRDs puts cert-manager's CRDs beside its binary: they are in its module.
func copyCRDs(ctx context.Context, l layout) error {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager")
	cmd.Dir = l.componentsDir()
	cmd.Env = append(os.Environ(), "GOWORK=off")
	dir, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("find cert-manager's module: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "deploy", "crds", "*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("cert-manager's module has no CRDs in deploy/crds (%w)", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(l.certManagerCRDs(), filepath.Base(f)), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// buildRootfs builds the root file systems that the cluster and its tests use.
func buildRootfs(ctx context.Context, l layout, out *progress) error {
	for _, name := range []string{"node", "postgres"} {
		cmd := exec.CommandContext(ctx, filepath.Join(l.root, "hack", "rootfs.sh"), name)
		w := out.lines()
		cmd.Stderr = w
		err := cmd.Run()
		w.Close() //nolint:errcheck // never fails
		if err != nil {
			return fmt.Errorf("build the root file system %s: %w", name, err)
		}
	}
	return nil
}

// linkTools gives the parts of the kube binary the names that people and envtest
// look for.
func linkTools(l layout) error {
	for _, link := range []string{"kubectl", "envtest/etcd", "envtest/kube-apiserver", "envtest/kubectl"} {
		path := l.bin(link)
		target, err := filepath.Rel(filepath.Dir(path), l.bin("kube"))
		if err != nil {
			return err
		}
		if have, err := os.Readlink(path); err == nil && have == target {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		if err := os.Symlink(target, path); err != nil {
			return err
		}
	}
	return nil
}
