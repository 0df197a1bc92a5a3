package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/interlock-dev/interlock/e2e/internal/harness"
)

// part is something that is made once on a machine.
type part struct {
	name string
	// files that exist when it was made.
	files []string
	// cpuMinutes that making it takes, all cores together; seconds that it takes whatever the cores.
	cpuMinutes, seconds float64
}

func parts(root string) []part {
	local := func(names ...string) []string {
		var files []string
		for _, n := range names {
			files = append(files, filepath.Join(root, ".local", filepath.FromSlash(n)))
		}
		return files
	}
	return []part{
		{"Kubernetes and etcd, from source", local("bin/kube"), 14, 30},
		{"CoreDNS, cert-manager and an ingress controller, from source", local("bin/coredns", "bin/cert-manager", "bin/ingress"), 4, 20},
		{"a Debian file system for nodes", local("cache/rootfs/node.stamp"), 0, 50},
		{"a Debian file system with PostgreSQL", local("cache/rootfs/postgres.stamp"), 0, 40},
	}
}

// demoMinutes is what everything takes that is done every time, on a machine with everything made.
const demoMinutes = 3

// announcement says what the demo needs and how long it will take here.
func announcement(root string, rows int, rate float64) []string {
	cores := runtime.NumCPU()
	var missing []string
	minutes := float64(demoMinutes)
	for _, p := range parts(root) {
		if made(p) {
			continue
		}
		missing = append(missing, p.name)
		minutes += p.cpuMinutes/float64(cores) + p.seconds/60
	}
	if programs := harness.Missing(root); len(programs) > 0 {
		missing = append(missing, "the programs of this repository ("+strings.Join(programs, ", ")+")")
		minutes += 4 / float64(cores)
	}
	lines := []string{
		"One breaking schema change, rolled out twice under load: with Interlock, and the usual way.",
		"Needs: root on Linux, Go and git; 4 GB of memory, 8 GB of disk; the package registries while something is built.",
		"It touches nothing outside of " + filepath.Join(root, ".local") + ", but for a bridge, network namespaces and mounts while it runs.",
		fmt.Sprintf("Load: %.0f requests per second over %d rows.", rate, rows),
	}
	if len(missing) == 0 {
		return append(lines, fmt.Sprintf("Everything is built here already: about %.0f minutes on these %d cores.", minutes, cores))
	}
	return append(lines, fmt.Sprintf("About %.0f minutes on these %d cores, because these are made first, once: %s.", minutes, cores, strings.Join(missing, "; ")))
}

func made(p part) bool {
	for _, f := range p.files {
		if _, err := os.Stat(f); err != nil {
			return false
		}
	}
	return true
}
