//go:build linux

package node

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// hierarchy is one mounted cgroup hierarchy of the host. There is one on a
// machine with cgroup v2, and one per group of controllers with v1.
type hierarchy struct {
	path string
	v2   bool
	// options name the controllers of a v1 hierarchy, as mount takes them.
	options string
}

// hierarchies finds them in text in the format of /proc/mounts.
func hierarchies(mounts string) []hierarchy {
	var v1, v2 []hierarchy
	sc := bufio.NewScanner(strings.NewReader(mounts))
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 4 {
			continue
		}
		switch f[2] {
		case "cgroup":
			v1 = append(v1, hierarchy{path: f[1], options: controllers(f[3])})
		case "cgroup2":
			v2 = append(v2, hierarchy{path: f[1], v2: true})
		}
	}
	if len(v1) > 0 {
		return v1 // hybrid: the v2 one has no controllers
	}
	if len(v2) > 1 {
		v2 = v2[:1]
	}
	return v2
}

// controllers picks from mount options those that name a v1 hierarchy.
func controllers(options string) string {
	known := []string{
		"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids",
		"net_cls", "net_prio", "perf_event", "hugetlb", "rdma", "misc",
	}
	var out []string
	for o := range strings.SplitSeq(options, ",") {
		if strings.HasPrefix(o, "name=") {
			out = append(out, "none", o)
		}
		if slices.Contains(known, o) {
			out = append(out, o)
		}
	}
	return strings.Join(out, ",")
}

func hostHierarchies() ([]hierarchy, error) {
	b, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return nil, err
	}
	hs := hierarchies(string(b))
	if len(hs) == 0 {
		return nil, errors.New("no cgroup hierarchy is mounted; mount cgroup2 on /sys/fs/cgroup")
	}
	return hs, nil
}

// joinCgroup makes the cgroup name in every hierarchy and moves this process in.
func joinCgroup(name string) error {
	hs, err := hostHierarchies()
	if err != nil {
		return err
	}
	for _, h := range hs {
		dir := filepath.Join(h.path, name)
		if h.v2 {
			delegate(h.path)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make a cgroup: %w (is %s writable here?)", err, h.path)
		}
		if err := copyCpuset(h.path, dir); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0); err != nil {
			return fmt.Errorf("join cgroup %s: %w", dir, err)
		}
	}
	return nil
}

// copyCpuset gives a new v1 cpuset its parent's values: an empty one takes nobody.
func copyCpuset(parent, dir string) error {
	for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
		b, err := os.ReadFile(filepath.Join(parent, f))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if len(strings.TrimSpace(string(b))) == 0 {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, f), b, 0); err != nil {
			return fmt.Errorf("set %s of %s: %w", f, dir, err)
		}
	}
	return nil
}

// delegate lets children of a v2 cgroup use every controller that it has. One
// that cannot be had is left out: kubelet says which one it needs.
func delegate(dir string) {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return
	}
	for c := range strings.FieldsSeq(string(b)) {
		_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0)
	}
}

// mountCgroups mounts the host's hierarchies below root/sys/fs/cgroup as this
// cgroup namespace sees them.
func mountCgroups(root string) error {
	base := filepath.Join(root, "sys/fs/cgroup")
	hs, err := hostHierarchies()
	if err != nil {
		return err
	}
	if hs[0].v2 {
		return mountCgroup2(base)
	}
	if err := mount("tmpfs", base, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for _, h := range hs {
		dir := filepath.Join(base, filepath.Base(h.path))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := mount("cgroup", dir, "cgroup", 0, h.options); err != nil {
			return err
		}
		// Programs look for each controller under its own name.
		for c := range strings.SplitSeq(h.options, ",") {
			if link := filepath.Join(base, c); c != "none" && !strings.Contains(c, "=") && link != dir {
				if err := os.Symlink(filepath.Base(dir), link); err != nil && !errors.Is(err, fs.ErrExist) {
					return err
				}
			}
		}
	}
	return nil
}

// mountCgroup2 also leaves the root cgroup: in v2 a cgroup with processes cannot
// hand controllers to its children.
func mountCgroup2(base string) error {
	if err := mount("cgroup2", base, "cgroup2", 0, ""); err != nil {
		return err
	}
	init := filepath.Join(base, "init")
	if err := os.MkdirAll(init, 0o755); err != nil {
		return err
	}
	procs, err := os.ReadFile(filepath.Join(base, "cgroup.procs"))
	if err != nil {
		return err
	}
	for pid := range strings.FieldsSeq(string(procs)) {
		// 0 is the parent, which this namespace cannot see: it moved itself.
		if err := os.WriteFile(filepath.Join(init, "cgroup.procs"), []byte(pid), 0); err != nil && pid != "0" {
			return fmt.Errorf("move process %s to %s: %w", pid, init, err)
		}
	}
	delegate(base)
	return nil
}

// RemoveCgroups removes the cgroups whose name starts with prefix, with all below
// them, from every hierarchy. Their processes must be gone.
func RemoveCgroups(prefix string) error {
	hs, err := hostHierarchies()
	if err != nil {
		return err
	}
	var errs []error
	for _, h := range hs {
		dirs, err := filepath.Glob(filepath.Join(h.path, prefix+"*"))
		errs = append(errs, err)
		for _, d := range dirs {
			errs = append(errs, removeCgroup(d))
		}
	}
	return errors.Join(errs...)
}

func removeCgroup(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			dirs = append(dirs, p)
		}
		return nil // one that is gone meanwhile is what is wanted
	})
	for _, d := range slices.Backward(dirs) {
		err = errors.Join(err, rmdirPatiently(d))
	}
	return err
}

// rmdirPatiently waits for the kernel to take dead processes out of a cgroup.
func rmdirPatiently(dir string) error {
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := syscall.Rmdir(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, syscall.EBUSY) || time.Now().After(end) {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
	}
}
