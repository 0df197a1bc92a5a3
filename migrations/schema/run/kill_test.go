package run

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/interlock-dev/interlock/migrations/schema/compat"
)

// childEnv holds the job of a child process: this test binary again, as a runner that can be killed.
const childEnv = "INTERLOCK_TEST_RUNNER"

// job is what a child process does.
type job struct {
	URI, Series string
	Files       []compat.Classified
	// Kill is the point at which the child kills itself, the Nth time that it passes.
	Kill string
	Nth  int
	// Pause: it stops itself there instead, as kubelet or a debugger would.
	Pause bool
	// Trace makes it print the points.
	Trace bool
}

func child() {
	var j job
	if err := json.Unmarshal([]byte(os.Getenv(childEnv)), &j); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := j.run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (j job) run() error {
	ctx := context.Background()
	r, err := Open(ctx, Options{URI: j.URI, Series: j.Series, BatchRows: 40, BatchMax: 40, Fault: j.fault})
	if err != nil {
		return err
	}
	defer r.Close(ctx)
	for _, c := range j.Files {
		if err := r.Apply(ctx, c, "main@1"); err != nil {
			return err
		}
	}
	return nil
}

var passed = map[string]int{}

func (j job) fault(point string) {
	passed[point]++
	if j.Trace {
		fmt.Println(point)
	}
	if point != j.Kill || passed[point] != j.Nth {
		return
	}
	signal := syscall.SIGKILL
	if j.Pause {
		signal = syscall.SIGSTOP
	}
	_ = syscall.Kill(os.Getpid(), signal)
	time.Sleep(50 * time.Millisecond) // it ends, or stops, in here
}
