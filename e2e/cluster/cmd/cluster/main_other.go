//go:build !linux

// Command cluster starts and ends the local Kubernetes cluster of a checkout.
package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	fmt.Fprintf(os.Stderr, "cluster: it needs root on Linux, because its nodes are made of Linux namespaces; this is %s\n", runtime.GOOS)
	os.Exit(1)
}
