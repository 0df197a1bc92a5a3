//go:build linux

package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-dev/interlock/e2e/cluster/internal/node"
)

// capSysResource is here because only Linux knows the number.
const capSysResource = unix.CAP_SYS_RESOURCE

// Down ends the cluster and removes everything that it left behind, except for
// what was built.
func (c *Cluster) Down(ctx context.Context) error { return Down(ctx, c.l.root, nil) }

// Down ends whatever runs of root's cluster, also after a half-finished Up or a
// kill -9. Nothing to do is fine. Empty root: found from the working directory up.
func Down(ctx context.Context, root string, w io.Writer) error {
	l, err := layoutOf(root)
	if err != nil {
		return err
	}
	if err := preflight(); err != nil {
		return err
	}
	unlock, err := lock(ctx, l, newProgress(w))
	if err != nil {
		return err
	}
	defer unlock()
	return down(l)
}

func down(l layout) error {
	s, stateErr := readState(l.stateFile()) // a damaged one is done without
	var recorded []process
	if stateErr == nil && s.BootID == bootID() {
		recorded = slices.Collect(maps.Values(s.Processes))
	}
	if err := endCluster(l, recorded); err != nil {
		return err
	}
	errs := []error{
		node.RemoveCgroups(cgroupPrefix(l)),
		removeNetwork(l),
		restoreSysctls(s.Sysctls),
		unmountBelow(l.run()),
	}
	if err := errors.Join(errs...); err != nil {
		return err // a mount may be left: removing files could reach through it
	}
	return os.RemoveAll(l.run())
}

// endCluster ends the recorded processes and all that carry the mark, also those
// that these start meanwhile.
func endCluster(l layout, recorded []process) error {
	for ps := append(marked(l), recorded...); len(ps) > 0; ps = marked(l) {
		// Nothing in a cluster is worth an orderly end, but the logs read better.
		if err := endAll(ps, 500*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// unmountBelow unmounts what is mounted below dir, deepest first. Nodes mount in
// namespaces of their own, so there is normally nothing.
func unmountBelow(dir string) error {
	mounts, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	for i := len(mounts) - 1; i >= 0; i-- {
		if err := unix.Unmount(mounts[i], unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", mounts[i], err)
		}
	}
	return nil
}

func mountsBelow(dir string) ([]string, error) {
	f, err := os.Open("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	var out []string
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		fields := strings.Fields(sc.Text())
		if len(fields) > 1 && strings.HasPrefix(fields[1], dir+"/") {
			out = append(out, fields[1])
		}
	}
	return out, sc.Err()
}
