package run

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/interlock-dev/interlock/migrations/schema/postgres"
)

// retry runs one try after the other until it succeeds, fails for another reason than a lock, or the budget is used up.
// While a try waits, it says for whom.
func (r *Runner) retry(ctx context.Context, version int64, try func(context.Context) error) error {
	start := time.Now()
	for n := 0; ; n++ {
		seen := r.observe(ctx, version)
		err := try(ctx)
		blockers := seen()
		if err == nil || !retryable(err) {
			return err
		}
		pause := backoff(n, rand.Float64())
		if time.Since(start)+pause > r.o.LockBudget {
			return &LockError{Budget: r.o.LockBudget, Blockers: blockers, cause: err}
		}
		r.progress(Progress{Version: version, Message: fmt.Sprintf("no lock (SQLSTATE %s); next try in %s%s",
			sqlstate(err), pause.Round(10*time.Millisecond), suffix("; blocked by ", blockers))})
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func suffix(prefix string, list []string) string {
	if len(list) == 0 {
		return ""
	}
	return prefix + strings.Join(list, ", ")
}

// backoff doubles from 250 ms to 10 s; random, from 0 to 1, takes up to a half off.
func backoff(n int, random float64) time.Duration {
	d := min(250*time.Millisecond<<min(n, 10), 10*time.Second)
	return d - time.Duration(random*float64(d)/2)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// observe looks, from the watch session, who blocks the working session. The function it returns ends that and says
// who was seen last.
func (r *Runner) observe(ctx context.Context, version int64) func() []string {
	ctx, cancel := context.WithCancel(ctx)
	pid := int32(r.conn.PgConn().PID())
	var last []string
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(max(r.o.LockTimeout/3, 20*time.Millisecond))
		defer tick.Stop()
		said := ""
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			names, pids := r.blockers(ctx, pid)
			if names == nil {
				continue
			}
			last = names
			if pids != said {
				said = pids
				r.progress(Progress{Version: version, Message: "waits for " + strings.Join(names, ", ")})
			}
		}
	})
	return func() []string {
		cancel()
		done.Wait()
		return last
	}
}

func (r *Runner) blockers(ctx context.Context, pid int32) (names []string, pids string) {
	r.watchMu.Lock()
	defer r.watchMu.Unlock()
	// Without the caller's cancellation: that would close the session that shows others that we live.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.o.Lease/2)
	defer cancel()
	found, err := postgres.Blockers(ctx, r.watch, pid)
	if err != nil {
		return nil, "" // the watch notices a broken session by itself
	}
	for _, b := range found {
		names = append(names, b.String())
		pids += fmt.Sprintf("%d ", b.PID)
	}
	return names, pids
}
