//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// preflight says everything that this machine lacks, in one error.
func preflight() error {
	var errs []error
	if os.Geteuid() != 0 {
		errs = append(errs, errors.New("it needs root: nodes are made of namespaces, mounts and cgroups"))
	} else {
		for _, c := range []struct {
			bit  uintptr
			name string
			why  string
		}{
			{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "mounts and namespaces"},
			{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN", "the bridge between nodes"},
			{unix.CAP_MKNOD, "CAP_MKNOD", "device files in nodes"},
			{unix.CAP_SYS_CHROOT, "CAP_SYS_CHROOT", "building root file systems"},
		} {
			if !hasCapability(c.bit) {
				errs = append(errs, fmt.Errorf("it needs %s for %s; in a container, run that one privileged", c.name, c.why))
			}
		}
	}
	if _, err := exec.LookPath("go"); err != nil {
		errs = append(errs, errors.New("it needs the go command in PATH"))
	}
	if fss, err := os.ReadFile("/proc/filesystems"); err == nil && !strings.Contains(string(fss), "\toverlay\n") {
		if err := exec.Command("modprobe", "overlay").Run(); err != nil {
			errs = append(errs, errors.New("it needs overlayfs in the kernel"))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("this machine cannot carry a local cluster:\n%w", err)
	}
	return nil
}

// hasCapability reads this process's effective set.
func hasCapability(c uintptr) bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return false
	}
	return data[c/32].Effective&(1<<(c%32)) != 0
}

// hostPackages are the Debian packages that give the host's commands.
var hostPackages = map[string]string{"git": "git"}

// installPackages installs what is missing of hostPackages.
func installPackages(ctx context.Context, out *progress) error {
	var missing []string
	for command, pkg := range hostPackages {
		if _, err := exec.LookPath(command); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	install := append([]string{"install", "-qq", "-y", "--no-install-recommends"}, missing...)
	out.say("installing %s with apt-get", strings.Join(missing, " "))
	if aptGet(ctx, install...) == nil {
		return nil
	}
	if err := aptGet(ctx, "update", "-qq"); err != nil {
		return err
	}
	return aptGet(ctx, install...)
}

func aptGet(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, b)
	}
	return nil
}

// kubeletSysctls are what a kubelet changes although they belong to the machine.
var kubeletSysctls = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

func readSysctls() map[string]string {
	out := map[string]string{}
	for _, s := range kubeletSysctls {
		if b, err := os.ReadFile("/proc/sys/" + s); err == nil {
			out[s] = strings.TrimSpace(string(b))
		}
	}
	return out
}

func restoreSysctls(m map[string]string) error {
	var errs []error
	for s, v := range m {
		if b, err := os.ReadFile("/proc/sys/" + s); err == nil && strings.TrimSpace(string(b)) != v {
			errs = append(errs, os.WriteFile("/proc/sys/"+s, []byte(v), 0))
		}
	}
	return errors.Join(errs...)
}
