package cluster

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestStateSurvivesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "state.json")
	empty, err := readState(path)
	if err != nil || len(empty.Processes) != 0 || empty.Processes == nil {
		t.Fatalf("no file: %+v, %v", empty, err)
	}
	want := state{
		BootID: "b", Ready: true, Nodes: 2,
		Processes: map[string]process{"etcd": {PID: 7, StartTicks: 99, Command: []string{"etcd", "--x"}}},
		Sysctls:   map[string]string{"vm/panic_on_oom": "0"},
	}
	if err := writeState(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := readState(path)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("beside the file: %v, %v", left, err)
	}
}

func TestDamagedStateSaysWhatToDo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readState(path); err == nil || !strings.Contains(err.Error(), "cluster down") {
		t.Errorf("got %v", err)
	}
}
