//go:build linux

package node

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// restartDelay keeps a service that fails at once from spinning.
const restartDelay = 500 * time.Millisecond

// running is a service and what is known of its process.
type running struct {
	Service
	log  *os.File
	pid  int       // 0 while it does not run
	next time.Time // not to be started before
}

// supervise starts the services and starts each again when it ends. It also
// reaps what containers leave behind, as process 1 must. It never returns: the
// node ends by being killed.
func supervise(services []Service, logs []*os.File) error {
	child := make(chan os.Signal, 1)
	signal.Notify(child, syscall.SIGCHLD)
	var all []*running
	for i, s := range services {
		all = append(all, &running{Service: s, log: logs[i]})
	}
	tick := time.NewTicker(100 * time.Millisecond)
	for {
		reap(all)
		for _, r := range all {
			r.startIfDue()
		}
		select {
		case <-child:
		case <-tick.C:
		}
	}
}

// reap takes in every process that ended.
func reap(all []*running) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		for _, r := range all {
			if r.pid == pid {
				r.pid, r.next = 0, time.Now().Add(restartDelay)
				fmt.Fprintf(r.log, "node: %s ended (exit %d, signal %d); starting it again\n",
					r.Name, status.ExitStatus(), status.Signal()) //nolint:errcheck // a log
			}
		}
	}
}

func (r *running) startIfDue() {
	if r.pid != 0 || time.Now().Before(r.next) {
		return
	}
	if r.WaitFor != "" {
		if _, err := os.Stat(r.WaitFor); err != nil {
			return
		}
	}
	p, err := os.StartProcess(r.Command[0], r.Command, &os.ProcAttr{
		Dir:   "/",
		Env:   []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"},
		Files: []*os.File{nil, r.log, r.log},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		fmt.Fprintf(r.log, "node: cannot start %s: %v\n", r.Name, err) //nolint:errcheck // a log
		r.next = time.Now().Add(5 * time.Second)
		return
	}
	r.pid = p.Pid
	_ = p.Release() // reap waits for it
}
