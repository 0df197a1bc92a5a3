package cluster

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func namesIn(t *testing.T, r io.Reader) []string {
	t.Helper()
	var names []string
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}

func TestBinaryTarIsReproducible(t *testing.T) {
	files := map[string][]byte{"/etc/passwd": []byte("p"), "/a/b/c": []byte("c"), "/etc/x/../y": nil}
	one, two := binaryTar("app", []byte("bin"), files), binaryTar("app", []byte("bin"), files)
	if !bytes.Equal(one, two) {
		t.Error("the same content gives two layers")
	}
	want := []string{"tmp/", "a/", "a/b/", "a/b/c", "etc/", "etc/passwd", "etc/y", "app"}
	if got := namesIn(t, bytes.NewReader(one)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRootfsLeavesScratchOut(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"bin/sh", "tmp/data/x", "var/lib/postgresql/17/main/PG_VERSION", "dev/null"} {
		p := filepath.Join(dir, f)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(f), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Link(filepath.Join(dir, "bin/sh"), filepath.Join(dir, "bin/zsh")), os.Symlink("bin", filepath.Join(dir, "sbin"))); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "layer.tar")
	if err := packRootfs(dir, out); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // read only
	want := []string{"bin/", "bin/sh", "bin/zsh", "dev/", "sbin", "tmp/", "var/", "var/lib/", "var/lib/postgresql/"}
	if got := namesIn(t, f); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRootfsKeyFollowsContent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "fs")
	file := filepath.Join(dir, "etc", "x")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.MkdirAll(filepath.Join(dir, "tmp"), 0o755), os.WriteFile(file, []byte("1"), 0o644)); err != nil {
		t.Fatal(err)
	}
	key := func() string {
		k, err := rootfsKey(dir)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	first := key()
	if err := os.WriteFile(filepath.Join(dir, "tmp", "scratch"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if key() != first {
		t.Error("a file in /tmp changed the key")
	}
	if err := os.WriteFile(file, []byte("22"), 0o644); err != nil {
		t.Fatal(err)
	}
	if key() == first {
		t.Error("a changed file kept the key")
	}
	if err := os.WriteFile(dir+".stamp", []byte("build 1"), 0o644); err != nil {
		t.Fatal(err)
	}
	stamped := key()
	if err := os.WriteFile(file, []byte("333"), 0o644); err != nil {
		t.Fatal(err)
	}
	if key() != stamped {
		t.Error("the stamp does not decide")
	}
}

func TestScriptIsNoStaticBinary(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if checkStatic(file) == nil {
		t.Error("a script passes for a static binary")
	}
	if checkStatic("/bin/sh") == nil {
		t.Error("a dynamic binary passes for a static one")
	}
}
