package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/interlock-dev/interlock/e2e/cluster"
	"github.com/interlock-dev/interlock/e2e/internal/harness"
)

func main() {
	keep := flag.Bool("keep", false, "leave everything running in the end, and say how to use it")
	rows := flag.Int("rows", 300_000, "rows in the table before the change")
	rate := flag.Float64("rate", 120, "requests per second")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	if err := run(ctx, *keep, *rows, *rate); err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(1)
	}
}

// run plays the demo and cleans up, whatever happens.
func run(ctx context.Context, keep bool, rows int, rate float64) error {
	if rows < 1 || rate <= 0 {
		return errors.New("--rows and --rate must be above 0")
	}
	root, err := cluster.FindRoot(".")
	if err != nil {
		return err
	}
	d := &demo{screen: newScreen(os.Stdout), root: root, rows: rows, rate: rate}
	for _, line := range announcement(root, rows, rate) {
		d.screen.say("%s", line)
	}
	err = d.play(ctx)
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	return errors.Join(err, d.end(context.WithoutCancel(ctx), keep))
}

// end takes everything down, or says how to use it.
func (d *demo) end(ctx context.Context, keep bool) error {
	if keep {
		d.screen.say("\n%s", usage(d.root))
		return nil
	}
	d.step(9, "cleaning up")
	return harness.Down(ctx, d.root, d.screen)
}

func usage(root string) string {
	kubeconfig := filepath.Join(root, ".local", "cluster", "kubeconfig")
	bin := filepath.Join(root, ".local", "bin")
	return fmt.Sprintf(`Everything goes on running. To look around:

  export KUBECONFIG=%[1]s PATH=%[2]s:$PATH
  kubectl get appbundles,databases,schemamigrations -A
  kubectl -n %[3]s describe schemamigration
  interlock -n %[3]s why appbundle/shop
  kubectl -n %[3]s exec -it shop-db-0 -- setpriv --reuid=postgres --regid=postgres --init-groups psql shop
  kubectl -n %[3]s rollout undo deployment/shop     # refused, and says why

  make down      ends it`, kubeconfig, bin, guardedNamespace)
}

// demo is one run.
type demo struct {
	screen *screen
	root   string
	rows   int
	rate   float64
	env    *harness.Env
	report report
}

func (d *demo) step(n int, format string, args ...any) {
	d.screen.say("\n[%d/9] %s", n, fmt.Sprintf(format, args...))
}
