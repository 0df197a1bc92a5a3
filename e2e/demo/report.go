package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/e2e/load"
)

// arm is one of the two roll-outs.
type arm struct {
	Requests int     `json:"requests"`
	Failed   int     `json:"failed"`
	LostRows int     `json:"lostRows"`
	P50Ms    float64 `json:"p50Ms"`
	P99Ms    float64 `json:"p99Ms"`
	MaxMs    float64 `json:"maxMs"`
	Seconds  float64 `json:"seconds"`
}

func newArm(r load.Report, v load.Verdict, took time.Duration) arm {
	return arm{
		Requests: r.Requests, Failed: r.Failed, LostRows: v.Bad(),
		P50Ms: millis(r.P50), P99Ms: millis(r.P99), MaxMs: millis(r.Max), Seconds: seconds(took),
	}
}

// phase is how long one phase of the guarded roll-out took.
type phase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// report is .local/demo/report.json.
type report struct {
	Guarded         arm     `json:"guarded"`
	Usual           arm     `json:"usual"`
	Phases          []phase `json:"phases"`
	RollbackRefused bool    `json:"rollbackRefused"`
}

// verdict is nil if the demo showed what it promises.
func (r report) verdict() error {
	switch {
	case r.Guarded.Requests == 0:
		return fmt.Errorf("the guarded roll-out saw no requests")
	case r.Guarded.Failed > 0 || r.Guarded.LostRows > 0:
		return fmt.Errorf("the guarded roll-out had %d failed requests and %d lost or wrong rows; both must be 0", r.Guarded.Failed, r.Guarded.LostRows)
	case !r.RollbackRefused:
		return fmt.Errorf("a roll-back after the contract step was not refused, or the app did not stay up meanwhile")
	}
	return nil
}

// write replaces the file in one step.
func (r report) write(file string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", append(b, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// table shows both arms side by side.
func (r report) table() []string {
	row := func(what, guarded, usual string) string {
		return fmt.Sprintf("   %-24s %16s %16s", what, guarded, usual)
	}
	number := func(what string, of func(arm) int) string {
		return row(what, fmt.Sprint(of(r.Guarded)), fmt.Sprint(of(r.Usual)))
	}
	ms := func(what string, of func(arm) float64) string {
		return row(what, fmt.Sprintf("%.0f ms", of(r.Guarded)), fmt.Sprintf("%.0f ms", of(r.Usual)))
	}
	return []string{
		row("", "with Interlock", "the usual way"),
		"   " + strings.Repeat("─", 58),
		number("requests", func(a arm) int { return a.Requests }),
		number("failed requests", func(a arm) int { return a.Failed }),
		number("lost or wrong rows", func(a arm) int { return a.LostRows }),
		ms("latency p50", func(a arm) float64 { return a.P50Ms }),
		ms("latency p99", func(a arm) float64 { return a.P99Ms }),
		ms("latency max", func(a arm) float64 { return a.MaxMs }),
		row("time to done", fmt.Sprintf("%.0f s", r.Guarded.Seconds), fmt.Sprintf("%.0f s", r.Usual.Seconds)),
	}
}

// phasesOf adds up the receipts of a revision, in the order in which the phases ended. The receipt of Contract says
// how long the step itself took; here it counts from the end of the phase before it, for it waits for the last old
// reader and for the fence.
func phasesOf(history []v1alpha1.Receipt, commit string) []phase {
	phases := []phase{}
	at := map[string]int{}
	var before time.Time
	for _, receipt := range history {
		if !strings.HasSuffix(receipt.Revision, commit) {
			continue
		}
		took := float64(receipt.DurationMillis) / 1000
		if receipt.Phase == "Contract" && !before.IsZero() { // receipts say the time to the second
			took = max(took, receipt.Time.Sub(before).Seconds())
		}
		before = receipt.Time.Time
		i, known := at[receipt.Phase]
		if !known {
			i = len(phases)
			at[receipt.Phase] = i
			phases = append(phases, phase{Name: receipt.Phase})
		}
		phases[i].Seconds += took
	}
	return phases
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }
