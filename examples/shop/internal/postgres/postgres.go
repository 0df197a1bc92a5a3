package postgres

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// The data lies outside of the root file system, which others use too, and is mounted into it in a mount
// namespace that ends with the server. The shell is the first process of a process namespace: when it dies,
// and it dies with the test, everything in it is killed.
const script = `set -e
mount --bind "$1" "$2/var/lib/postgresql"
mount --bind /dev "$2/dev"
chown -R "$(chroot "$2" id -u postgres):$(chroot "$2" id -g postgres)" "$1"
export LC_ALL=C.UTF-8
bin=/usr/lib/postgresql/17/bin
data=/var/lib/postgresql/data
chroot --userspec=postgres:postgres "$2" $bin/initdb -D $data -U postgres -A trust --no-sync >/dev/null
chroot --userspec=postgres:postgres "$2" $bin/postgres -D $data \
  -c listen_addresses=127.0.0.1 -c port="$3" -c unix_socket_directories= -c fsync=off -c max_connections=100
exit $?
`

// Start runs a server of its own for the test and returns the URI of its superuser. The server ends with the test.
func Start(t testing.TB, repositoryRoot string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("this test runs a PostgreSQL server in a root file system of its own: run it as root")
	}
	rootfs, err := exec.CommandContext(t.Context(), filepath.Join(repositoryRoot, "hack", "rootfs.sh"), "postgres").Output()
	if err != nil {
		t.Fatalf("hack/rootfs.sh postgres: %v; run it by hand to see why", err)
	}
	port := freePort(t)
	var log bytes.Buffer
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child",
		"sh", "-c", script, "sh", t.TempDir(), strings.TrimSpace(string(rootfs)), port)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended // the last process that holds the log is gone then
	})
	uri := fmt.Sprintf("postgres://postgres@127.0.0.1:%s/postgres", port)
	if err := waitFor(t.Context(), uri, ended); err != nil {
		t.Fatalf("PostgreSQL does not start: %v\n%s", err, log.String())
	}
	return uri
}

func waitFor(ctx context.Context, uri string, ended chan error) error {
	deadline := time.Now().Add(time.Minute)
	for {
		conn, err := pgx.Connect(ctx, uri)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case end := <-ended:
			ended <- end
			return fmt.Errorf("it ended: %w", end)
		case <-time.After(200 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

func freePort(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
