//go:build linux

package node

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestHierarchies(t *testing.T) {
	for _, tc := range []struct {
		name   string
		mounts string
		want   []hierarchy
	}{
		{
			name:   "v2",
			mounts: "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n",
			want:   []hierarchy{{path: "/sys/fs/cgroup", v2: true}},
		},
		{
			name: "hybrid",
			mounts: "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,cpu,cpuacct 0 0\n" +
				"cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,name=systemd 0 0\n" +
				"cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n",
			want: []hierarchy{
				{path: "/sys/fs/cgroup/cpu,cpuacct", options: "cpu,cpuacct"},
				{path: "/sys/fs/cgroup/systemd", options: "none,name=systemd"},
			},
		},
		{name: "none", mounts: "proc /proc proc rw 0 0\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := hierarchies(tc.mounts); !slices.Equal(got, tc.want) {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestCpusetIsCopied(t *testing.T) {
	parent, child := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(parent, "cpuset.cpus"), []byte("0-1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(parent, "cpuset.mems"), []byte("\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(child, "cpuset.cpus"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := copyCpuset(parent, child); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(child, "cpuset.cpus")); string(b) != "0-1\n" || err != nil {
		t.Errorf("got %q, %v", b, err)
	}
	if _, err := os.Stat(filepath.Join(child, "cpuset.mems")); err == nil {
		t.Error("an empty value was copied")
	}
}
