//go:build linux

package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// markVar is in the environment of every process of a cluster. Its value is the
// repository root, so that `down` finds also what died before it was recorded.
const markVar = "INTERLOCK_LOCAL_CLUSTER"

// startDetached runs command in a session of its own, its output in logPath. It
// outlives this process.
func startDetached(l layout, command []string, logPath string) (process, error) {
	if err := os.MkdirAll(filepath.Dir(logPath), 0o755); err != nil {
		return process{}, err
	}
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return process{}, err
	}
	defer log.Close() //nolint:errcheck // the child has its own
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = "/"
	cmd.Env = []string{
		markVar + "=" + l.root, "HOME=/root",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return process{}, fmt.Errorf("start %s: %w", filepath.Base(command[0]), err)
	}
	pid := cmd.Process.Pid
	ticks, err := startTicks(pid)
	if err != nil {
		return process{}, fmt.Errorf("%s ended at once; see %s", filepath.Base(command[0]), logPath)
	}
	// Reaped here while this process lives, by init afterwards.
	go cmd.Wait() //nolint:errcheck // its end is seen by alive
	return process{PID: pid, StartTicks: ticks, Command: command}, nil
}

// alive says whether the very process still runs; a zombie does not.
func (p process) alive() bool {
	st, err := readStat(p.PID)
	return err == nil && st.start == p.StartTicks && st.state != 'Z' && st.state != 'X'
}

// signal sends sig if the pid still means this process.
func (p process) signal(sig syscall.Signal) error {
	if !p.alive() {
		return os.ErrProcessDone
	}
	return syscall.Kill(p.PID, sig)
}

// procStat is what /proc/PID/stat says of a process.
type procStat struct {
	pid, parent int
	name        string
	state       byte
	start       uint64
}

func readStat(pid int) (procStat, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procStat{}, err
	}
	return parseStat(b)
}

// parseStat reads a line of proc(5). The name stands in brackets and may hold
// spaces and brackets itself.
func parseStat(b []byte) (procStat, error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || end < open {
		return procStat{}, fmt.Errorf("unexpected process status %q", b)
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(b[:open])))
	fields := strings.Fields(string(b[end+1:]))
	if err != nil || len(fields) < 20 {
		return procStat{}, fmt.Errorf("unexpected process status %q", b)
	}
	parent, err1 := strconv.Atoi(fields[1])
	start, err2 := strconv.ParseUint(fields[19], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return procStat{}, err
	}
	return procStat{pid: pid, parent: parent, name: string(b[open+1 : end]), state: fields[0][0], start: start}, nil
}

func startTicks(pid int) (uint64, error) {
	st, err := readStat(pid)
	return st.start, err
}

// allProcesses lists every process of this machine.
func allProcesses() []procStat {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var out []procStat
	for _, d := range dirs {
		pid, err := strconv.Atoi(filepath.Base(d))
		if err != nil {
			continue
		}
		if st, err := readStat(pid); err == nil {
			out = append(out, st)
		}
	}
	return out
}

// marked lists the processes that carry the mark of this checkout, this process
// left out.
func marked(l layout) []process {
	want := []byte(markVar + "=" + l.root)
	var out []process
	for _, st := range allProcesses() {
		if st.pid == os.Getpid() || st.state == 'Z' {
			continue
		}
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", st.pid))
		if err != nil {
			continue
		}
		for v := range bytes.SplitSeq(env, []byte{0}) {
			if bytes.Equal(v, want) {
				out = append(out, process{PID: st.pid, StartTicks: st.start})
				break
			}
		}
	}
	return out
}

// endAll ends processes: those that a SIGTERM leaves after grace get a SIGKILL.
func endAll(ps []process, grace time.Duration) error {
	for _, p := range ps {
		_ = p.signal(syscall.SIGTERM) // who is gone already is fine
		_ = p.signal(syscall.SIGCONT) // a stopped one would never see it
	}
	if waitGone(ps, grace) {
		return nil
	}
	for _, p := range ps {
		_ = p.signal(syscall.SIGKILL)
	}
	if waitGone(ps, 20*time.Second) {
		return nil
	}
	var left []string
	for _, p := range ps {
		if p.alive() {
			left = append(left, strconv.Itoa(p.PID))
		}
	}
	return fmt.Errorf("processes %s do not end, even with SIGKILL; look at /proc/PID/stack for what they wait on", strings.Join(left, ", "))
}

func waitGone(ps []process, limit time.Duration) bool {
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		n := 0
		for _, p := range ps {
			if p.alive() {
				n++
			}
		}
		if n == 0 {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}
