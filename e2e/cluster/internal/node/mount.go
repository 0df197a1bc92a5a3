//go:build linux

package node

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

func mount(source, target, fstype string, flags uintptr, data string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		return fmt.Errorf("mount %s (%s) on %s: %w", fstype, data, target, err)
	}
	return nil
}

// enterRoot builds the node's file system in this mount namespace and makes it
// the root.
func enterRoot(c Config) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("detach from the host's mounts: %w", err)
	}
	for _, d := range []string{c.Upper, c.Work} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	opts := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", c.Lower, c.Upper, c.Work)
	if err := mount("overlay", c.Root, "overlay", 0, opts); err != nil {
		return fmt.Errorf("%w; .local must lie on a file system like ext4, xfs or btrfs, not on an overlay", err)
	}
	if err := mountSystem(c.Root); err != nil {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(c.Binds)) {
		if err := bind(c.Binds[path], filepath.Join(c.Root, path)); err != nil {
			return err
		}
	}
	return pivot(c.Root)
}

func mountSystem(root string) error {
	in := func(p string) string { return filepath.Join(root, p) }
	steps := []func() error{
		func() error { return mount("proc", in("proc"), "proc", 0, "") },
		func() error { return mount("sysfs", in("sys"), "sysfs", 0, "") },
		func() error { return mountCgroups(root) },
		func() error { return mount("tmpfs", in("run"), "tmpfs", 0, "mode=755") },
		func() error { return mount("tmpfs", in("tmp"), "tmpfs", 0, "mode=1777") },
		func() error { return mount("tmpfs", in("dev"), "tmpfs", unix.MS_NOSUID, "mode=755") },
		func() error {
			return mount("devpts", in("dev/pts"), "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620")
		},
		func() error { return mount("tmpfs", in("dev/shm"), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777") },
		func() error { return mount("mqueue", in("dev/mqueue"), "mqueue", 0, "") },
		func() error { return makeDevices(in("dev")) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func makeDevices(dev string) error {
	old := unix.Umask(0)
	defer unix.Umask(old)
	for _, d := range []struct {
		name         string
		major, minor uint32
	}{
		{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9},
		{"kmsg", 1, 11}, {"tty", 5, 0}, {"fuse", 10, 229},
	} {
		if err := unix.Mknod(filepath.Join(dev, d.name), unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor))); err != nil {
			return fmt.Errorf("make device %s: %w", d.name, err)
		}
	}
	for name, target := range map[string]string{
		"ptmx": "pts/ptmx", "fd": "/proc/self/fd",
		"stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	return nil
}

func bind(b Bind, target string) error {
	info, err := os.Stat(b.Source)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(target), 0o755); err == nil {
		err = touch(target)
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(b.Source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s on %s: %w", b.Source, target, err)
	}
	if !b.ReadOnly {
		return nil
	}
	if err := unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make %s read-only: %w", target, err)
	}
	return nil
}

func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// pivot makes root the root directory and lets go of the host's. Mounts made
// from here on are shared, as kubelet wants them.
func pivot(root string) error {
	old := filepath.Join(root, "mnt")
	if err := unix.PivotRoot(root, old); err != nil {
		return fmt.Errorf("pivot to %s: %w", root, err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Unmount("/mnt", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount the host's root: %w", err)
	}
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "")
}
