package scenarios

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/e2e/cluster"
	"github.com/interlock-dev/interlock/e2e/internal/harness"
	"github.com/interlock-dev/interlock/e2e/load"
)

const (
	// rows is enough for a backfill that takes several batches.
	rows = 20_000
	// rate leaves two cores something for everything else that runs.
	rate = 40
	// changeLimit is how long the shop's change may take.
	changeLimit = 5 * time.Minute
)

var (
	env *harness.Env
	// removals go on while the next test starts.
	removals sync.WaitGroup
)

func TestMain(m *testing.M) {
	keep := flag.Bool("keep", false, "leave the cluster running in the end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, m, *keep)
	stop()
	os.Exit(code)
}

// run starts a cluster where none runs, and leaves one that ran before.
func run(ctx context.Context, m *testing.M, keep bool) int {
	root, err := cluster.FindRoot(".")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_, notThere := cluster.Attach(root)
	if notThere != nil && !keep {
		defer func() {
			if err := harness.Down(context.WithoutCancel(ctx), root, os.Stderr); err != nil {
				fmt.Fprintln(os.Stderr, "take the cluster down:", err)
			}
		}()
	}
	// A signal ends the tests by taking their cluster away; the deferred calls then run.
	done := make(chan int, 1)
	go func() {
		if env, err = harness.Up(ctx, root, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, "set up:", err)
			done <- 1
			return
		}
		code := m.Run()
		removals.Wait()
		done <- code
	}()
	select {
	case code := <-done:
		return code
	case <-ctx.Done():
		return 130
	}
}

// guarded is a namespace with version 1 of the shop, brought up by an AppBundle, with rows in its table.
func guarded(t *testing.T, edits ...func(*v1alpha1.AppBundle)) (s *harness.Shop, commit string) {
	t.Helper()
	s = empty(t)
	commit, err := s.Push(t.Context(), 1, "The shop")
	must(t, err)
	bundle(t, s, edits...)
	must(t, s.WaitDone(t.Context(), commit, changeLimit))
	must(t, s.WaitServing(t.Context(), time.Minute))
	must(t, s.Seed(t.Context(), rows))
	return s, commit
}

// empty is a namespace with a database and an empty repository.
func empty(t *testing.T) *harness.Shop {
	t.Helper()
	name := namespace(t)
	must(t, env.RemoveShop(t.Context(), name))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the namespace %s is left for you to look at, if the cluster is", name)
			return
		}
		removals.Go(func() {
			if err := env.RemoveShop(context.Background(), name); err != nil {
				fmt.Fprintln(os.Stderr, "remove what a test left:", err)
			}
		})
	})
	s, err := env.NewGuarded(t.Context(), name, name+".example.test")
	must(t, err)
	return s
}

// bundle creates the AppBundle, which looks again, and gives up, soon enough for a test.
func bundle(t *testing.T, s *harness.Shop, edits ...func(*v1alpha1.AppBundle)) {
	t.Helper()
	must(t, s.ApplyBundle(t.Context(), func(b *v1alpha1.AppBundle) {
		b.Spec.Interval.Duration = 5 * time.Second
		b.Spec.Timeout.Duration = 40 * time.Second
		for _, edit := range edits {
			edit(b)
		}
	}))
}

func namespace(t *testing.T) string {
	name := []byte("e2e")
	for _, r := range t.Name()[len("Test"):] {
		switch {
		case r >= 'A' && r <= 'Z':
			name = append(name, '-', byte(r-'A'+'a'))
		case r >= 'a' && r <= 'z':
			name = append(name, byte(r))
		}
	}
	return string(name[:min(len(name), 40)])
}

func startLoad(t *testing.T, s *harness.Shop) *load.Load {
	t.Helper()
	l, err := s.StartLoad(t.Context(), rate)
	must(t, err)
	t.Cleanup(func() { l.Stop() })
	return l
}

// assertUnharmed ends a load: nothing failed, nothing is lost.
func assertUnharmed(t *testing.T, s *harness.Shop, l *load.Load) load.Report {
	t.Helper()
	r := l.Stop()
	if r.Failed > 0 || r.Requests < rate {
		t.Errorf("%d of %d requests failed, by kind %v, the first ones: %+v", r.Failed, r.Requests, r.ByKind, r.Failures[:min(5, len(r.Failures))])
	}
	assertRows(t, s, l)
	return r
}

// assertRows compares every row with what was acknowledged.
func assertRows(t *testing.T, s *harness.Shop, l *load.Load) {
	t.Helper()
	v, err := s.Verify(t.Context(), l)
	must(t, err)
	if v.Bad() > 0 || v.Rows < rows {
		t.Errorf("%d rows: %d lost, %d wrong, %d duplicated: %v", v.Rows, v.Lost, v.Wrong, v.Duplicated, v.Examples)
	}
}

// assertVersion says which versions of the shop run, and that no other one does.
func assertVersion(t *testing.T, s *harness.Shop, want string) {
	t.Helper()
	out, err := s.RunKubectl(t.Context(), "get", "pods", "-l", "app=shop", "-o", "jsonpath={.items[*].spec.containers[*].image}")
	must(t, err)
	image := env.Cluster.ImageRef("shop", want)
	if want := image + " " + image + " " + image; out != want {
		t.Errorf("the pods run %q, want %q", out, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
