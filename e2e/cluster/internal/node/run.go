//go:build linux

package node

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// insideArg marks the second stage, which is process 1 of the node.
const insideArg = "--inside"

// Run makes this process the keeper of a node until it is killed: it enters the
// node's cgroup and network namespace and starts itself again in fresh mount,
// process, host name, IPC and cgroup namespaces. When the keeper dies, the kernel
// kills that process 1 and with it everything in the node.
func Run(configPath string, args []string) error {
	c, err := ReadConfig(configPath)
	if err != nil {
		return err
	}
	if len(args) > 0 && args[0] == insideArg {
		return inside(c)
	}
	// Namespaces and the death signal belong to a thread, not to a process.
	runtime.LockOSThread()
	if err := joinCgroup(c.Cgroup); err != nil {
		return err
	}
	if err := enterNetns(c.Netns); err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe", "node", configPath, insideArg)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWCGROUP,
		Pdeathsig:  syscall.SIGKILL,
	}
	return cmd.Run()
}

func enterNetns(name string) error {
	f, err := os.Open("/run/netns/" + name)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // read only
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace %s: %w", name, err)
	}
	return nil
}

// inside runs as process 1 of the node.
func inside(c Config) error {
	if os.Getpid() != 1 {
		return errors.New("the inner stage of a node starts only from its outer one")
	}
	if err := unix.Sethostname([]byte(c.Name)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	logs, err := openLogs(c.Services) // while the host's paths are still there
	if err != nil {
		return err
	}
	if err := enterRoot(c); err != nil {
		return err
	}
	// Pods route through the node.
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return err
	}
	return supervise(c.Services, logs)
}

func openLogs(services []Service) ([]*os.File, error) {
	var out []*os.File
	for _, s := range services {
		f, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}
