package cluster

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// PushRootfs makes an image of a root file system, for example what
// `hack/rootfs.sh postgres` builds, and returns its reference for pods. What
// programs leave in /tmp, /run, /dev and /var/lib/postgresql stays out.
//
// The packed layer is cached: by the stamp beside a directory from hack/rootfs.sh,
// else by the names, sizes and times of its files.
func (c *Cluster) PushRootfs(ctx context.Context, name, tag, rootfsDir string, opts ...ImageOption) (string, error) {
	key, err := rootfsKey(rootfsDir)
	if err != nil {
		return "", err
	}
	file := c.l.local("cache", "layers", key+".tar")
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		if err := packRootfs(rootfsDir, file); err != nil {
			return "", fmt.Errorf("pack %s: %w", rootfsDir, err)
		}
	}
	layer, err := newRawLayer(func() (io.ReadCloser, error) { return os.Open(file) })
	if err != nil {
		return "", err
	}
	img := &image{config: v1.Config{Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}}}
	for _, o := range opts {
		o(img)
	}
	if len(img.files) > 0 {
		return "", errors.New("WithFile is for PushBinary; put the file into the root file system")
	}
	return c.push(ctx, name, tag, img, layer)
}

func rootfsKey(dir string) (string, error) {
	h := sha256.New()
	stamp, err := os.ReadFile(filepath.Clean(dir) + ".stamp")
	if err == nil {
		fmt.Fprintf(h, "stamp %s", stamp) //nolint:errcheck // a hash takes everything
		return hex.EncodeToString(h.Sum(nil)), nil
	}
	err = walkRootfs(dir, func(rel string, info fs.FileInfo) error {
		size, changed := info.Size(), info.ModTime().UnixNano()
		if info.IsDir() {
			size, changed = 0, 0 // both follow what is left out
		}
		_, err := fmt.Fprintf(h, "%q %v %d %d\n", rel, info.Mode(), size, changed)
		return err
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

// walkRootfs visits what belongs into an image, parents first.
func walkRootfs(dir string, visit func(rel string, info fs.FileInfo) error) error {
	return filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil || rel == "." {
			return err
		}
		if scratch(rel) {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		return visit(rel, info)
	})
}

// scratch says whether a path below a root file system is something that a
// program left there when it ran, or a device.
func scratch(rel string) bool {
	for _, d := range []string{"tmp", "dev", "proc", "sys", "var/lib/postgresql", "var/cache/apt", "var/lib/apt/lists"} {
		if strings.HasPrefix(rel, d+"/") {
			return true
		}
	}
	return false
}

func packRootfs(dir, file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	out, err := os.CreateTemp(filepath.Dir(file), ".layer.*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(out.Name()) }() // gone already when all went well
	w := tar.NewWriter(out)
	links := map[uint64]string{}
	err = walkRootfs(dir, func(rel string, info fs.FileInfo) error {
		return packEntry(w, dir, rel, info, links)
	})
	if err := errors.Join(err, w.Close(), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), file)
}

func packEntry(w *tar.Writer, dir, rel string, info fs.FileInfo, links map[uint64]string) error {
	var target string
	var err error
	if info.Mode()&fs.ModeSymlink != 0 {
		if target, err = os.Readlink(filepath.Join(dir, rel)); err != nil {
			return err
		}
	}
	if info.Mode()&(fs.ModeSocket|fs.ModeNamedPipe|fs.ModeDevice) != 0 {
		return nil
	}
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	h.Name, h.Uname, h.Gname, h.Format = rel, "", "", tar.FormatPAX
	h.ModTime, h.AccessTime, h.ChangeTime = h.ModTime.Truncate(time.Second), time.Time{}, time.Time{}
	if info.IsDir() {
		h.Name += "/"
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && info.Mode().IsRegular() && st.Nlink > 1 {
		if first, seen := links[st.Ino]; seen {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
			return w.WriteHeader(h)
		}
		links[st.Ino] = rel
	}
	if err := w.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(filepath.Join(dir, rel))
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // read only
	_, err = io.Copy(w, f)
	return err
}
