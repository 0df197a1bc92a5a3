//go:build linux

package cluster

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/interlock-dev/interlock/e2e/cluster/internal/node"
)

// Process is a running process of the cluster, for tests that disturb it.
type Process struct {
	// Name is one of the constants of this package, or a node's name.
	Name string
	p    process
}

// PID is the process's id on the host.
func (p Process) PID() int { return p.p.PID }

// Alive says whether this very process still runs; stopped ones do.
func (p Process) Alive() bool { return p.p.alive() }

// Signal sends a signal, never to another process that got the same id. It returns
// os.ErrProcessDone when the process is gone.
func (p Process) Signal(sig syscall.Signal) error { return p.p.signal(sig) }

// Process finds a process of the host: Etcd, APIServer, ControllerManager,
// Scheduler, Services, or a node by its name. Killing a node's takes the whole
// node down, as a power cut would. Nothing starts it again but Restart.
func (c *Cluster) Process(name string) (Process, error) {
	s, err := readState(c.l.stateFile())
	if err != nil {
		return Process{}, err
	}
	p, ok := s.Processes[name]
	if !ok {
		return Process{}, fmt.Errorf("the cluster has no process %q", name)
	}
	return Process{Name: name, p: p}, nil
}

// NodeProcess finds Containerd, Kubelet or KubeProxy of a node. The node starts it
// again half a second after it ended, with another id.
func (c *Cluster) NodeProcess(nodeName, name string) (Process, error) {
	keeper, err := c.Process(nodeName)
	if err != nil {
		return Process{}, err
	}
	all := allProcesses()
	for _, init := range all {
		if init.parent != keeper.PID() {
			continue
		}
		for _, st := range all {
			if st.parent == init.pid && commandHas(st.pid, name) {
				return Process{Name: nodeName + "/" + name, p: process{PID: st.pid, StartTicks: st.start}}, nil
			}
		}
	}
	return Process{}, fmt.Errorf("%s does not run in %s at the moment; see %s", name, nodeName, c.l.log(nodeName+"-"+name))
}

// commandHas looks for name among the first two words of a command line.
func commandHas(pid int, name string) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return false
	}
	words := strings.SplitN(string(b), "\x00", 3)
	return slices.ContainsFunc(words[:min(2, len(words))], func(w string) bool {
		return w == name || strings.HasSuffix(w, "/"+name)
	})
}

// Restart starts a process of the host again, with the same command line, after
// killing it if it still runs. It waits until the API server answers.
func (c *Cluster) Restart(ctx context.Context, name string) error {
	unlock, err := lock(ctx, c.l, newProgress(nil))
	if err != nil {
		return err
	}
	defer unlock()
	s, err := readState(c.l.stateFile())
	if err != nil {
		return err
	}
	p, ok := s.Processes[name]
	if !ok {
		return fmt.Errorf("the cluster has no process %q", name)
	}
	_ = p.signal(syscall.SIGKILL) // gone already is fine
	if !waitGone([]process{p}, 20*time.Second) {
		return fmt.Errorf("%s does not end", name)
	}
	if slices.Contains(c.NodeNames(), name) {
		if err := node.RemoveCgroups(cgroupPrefix(c.l) + name); err != nil {
			return err
		}
	}
	if err := c.startProcess(&s, name, p.Command); err != nil {
		return err
	}
	return c.waitReady(ctx)
}
