package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// state is what `down` needs to know after this process is gone. It is written
// before and after every step that leaves something behind.
type state struct {
	// BootID tells whether the processes below can still be alive.
	BootID string `json:"bootID"`
	// Ready is true once up came to its end.
	Ready bool `json:"ready"`
	// Nodes is how many nodes were asked for; some may not have started yet.
	Nodes int `json:"nodes"`
	// Processes are what runs on the host, by name. A node is one of them.
	Processes map[string]process `json:"processes"`
	// Sysctls are the kernel settings that a kubelet changes for the whole machine,
	// as they were before.
	Sysctls map[string]string `json:"sysctls,omitempty"`
}

// process is a process and proof that its pid still means it.
type process struct {
	PID int `json:"pid"`
	// StartTicks is when it started, in clock ticks since boot.
	StartTicks uint64 `json:"startTicks"`
	// Command starts it again.
	Command []string `json:"command"`
}

// readState returns an empty state where there is none.
func readState(path string) (state, error) {
	s := state{Processes: map[string]process{}}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("%s is damaged (%w); run `cluster down`, which does without it", path, err)
	}
	if s.Processes == nil {
		s.Processes = map[string]process{}
	}
	return s, nil
}

// writeState replaces the file in one step.
func writeState(path string, s state) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(b, '\n'), 0o600)
}

// writeFile replaces path in one step, and makes its directory.
func writeFile(path string, b []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already when all went well
	if _, err := tmp.Write(b); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := errors.Join(tmp.Chmod(mode), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
