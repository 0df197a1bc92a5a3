//go:build linux

package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestParseStat(t *testing.T) {
	tail := " S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 10"
	for _, tc := range []struct {
		name     string
		line     string
		want     procStat
		wantFail bool
	}{
		{name: "plain", line: "7 (etcd)" + tail, want: procStat{pid: 7, parent: 1, name: "etcd", state: 'S', start: 4242}},
		{name: "brackets and spaces in the name", line: "7 (a) b (c)" + tail, want: procStat{pid: 7, parent: 1, name: "a) b (c", state: 'S', start: 4242}},
		{name: "cut off", line: "7 (etcd) S 1 7", wantFail: true},
		{name: "no name", line: "7 etcd S", wantFail: true},
		{name: "empty", line: "", wantFail: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parseStat([]byte(tc.line))
			if (err != nil) != tc.wantFail {
				t.Fatalf("error %v, want one: %v", err, tc.wantFail)
			}
			if got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

// A pid that means another process by now is never signalled.
func TestRecycledPIDIsNotOurs(t *testing.T) {
	ticks, err := startTicks(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	me := process{PID: os.Getpid(), StartTicks: ticks}
	if !me.alive() {
		t.Fatal("this process does not see itself alive")
	}
	other := process{PID: os.Getpid(), StartTicks: ticks - 1}
	if other.alive() {
		t.Error("a process with this pid and another start counts as ours")
	}
	if err := other.signal(syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal to it: %v", err)
	}
}

// What was started is found by its mark alone, also after its record is lost, and
// ends also when it ignores SIGTERM or is stopped.
func TestMarkedProcessesAreFoundAndEnded(t *testing.T) {
	l := layout{root: t.TempDir()}
	log := filepath.Join(l.root, "log")
	stubborn, err := startDetached(l, []string{"/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"}, log)
	if err != nil {
		t.Fatal(err)
	}
	stopped, err := startDetached(l, []string{"/bin/sleep", "100"}, log)
	if err != nil {
		t.Fatal(err)
	}
	if err := stopped.signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	found := map[int]bool{}
	for _, p := range marked(l) {
		found[p.PID] = true
	}
	if !found[stubborn.PID] || !found[stopped.PID] {
		t.Errorf("found %v, want %d and %d", found, stubborn.PID, stopped.PID)
	}
	if left := marked(layout{root: l.root + "x"}); len(left) != 0 {
		t.Errorf("another root finds %v", left)
	}
	if err := endCluster(l, nil); err != nil {
		t.Error(err)
	}
	if stubborn.alive() || stopped.alive() || len(marked(l)) != 0 {
		t.Errorf("left: %v", marked(l))
	}
}
