package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/e2e/load"
)

func good() report {
	return report{Guarded: arm{Requests: 100}, Usual: arm{Requests: 100, Failed: 50}, RollbackRefused: true}
}

func TestVerdict(t *testing.T) {
	for _, tc := range []struct {
		name    string
		change  func(*report)
		wantErr string
	}{
		{"good, whatever the usual way does", func(r *report) {}, ""},
		{"a failed request", func(r *report) { r.Guarded.Failed = 1 }, "1 failed requests"},
		{"a lost row", func(r *report) { r.Guarded.LostRows = 1 }, "1 lost or wrong rows"},
		{"nothing measured", func(r *report) { r.Guarded.Requests = 0 }, "no requests"},
		{"roll-back went through", func(r *report) { r.RollbackRefused = false }, "roll-back"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := good()
			tc.change(&r)
			err := r.verdict()
			if (err == nil) != (tc.wantErr == "") || err != nil && !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("verdict %v, want one with %q", err, tc.wantErr)
			}
		})
	}
}

// What is written has the names that others read.
func TestReportJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "demo", "report.json")
	r := good()
	r.Guarded = newArm(load.Report{Requests: 7, Failed: 2, P50: 1500 * time.Microsecond, P99: time.Second, Max: 2 * time.Second},
		load.Verdict{Lost: 1, Wrong: 2, Duplicated: 3}, 90*time.Second)
	r.Phases = []phase{{"Expand", 1.5}}
	if err := r.write(file); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal([]byte(`{
		"guarded": {"requests": 7, "failed": 2, "lostRows": 6, "p50Ms": 1.5, "p99Ms": 1000, "maxMs": 2000, "seconds": 90},
		"usual": {"requests": 100, "failed": 50, "lostRows": 0, "p50Ms": 0, "p99Ms": 0, "maxMs": 0, "seconds": 0},
		"phases": [{"name": "Expand", "seconds": 1.5}], "rollbackRefused": true}`), &want)
	gotAgain, _ := json.Marshal(got)
	wantAgain, _ := json.Marshal(want)
	if string(gotAgain) != string(wantAgain) {
		t.Errorf("got  %s\nwant %s", gotAgain, wantAgain)
	}
}

func TestPhasesOf(t *testing.T) {
	at := func(second int64) metav1.Time { return metav1.Unix(second, 0) }
	history := []v1alpha1.Receipt{
		{Phase: "Expand", Revision: "main@sha1:old", DurationMillis: 9000, Time: at(1)},
		{Phase: "Fetch", Revision: "main@sha1:new", DurationMillis: 100, Time: at(100)},
		{Phase: "Apply", Revision: "main@sha1:new", DurationMillis: 1200, Time: at(101)},
		{Phase: "Settle", Revision: "main@sha1:new", DurationMillis: 2000, Time: at(103)},
		{Phase: "Apply", Revision: "main@sha1:new", DurationMillis: 500, Time: at(103)},
		{Phase: "Contract", Revision: "main@sha1:new", DurationMillis: 158, Time: at(130)},
	}
	want := []phase{{"Fetch", 0.1}, {"Apply", 1.7}, {"Settle", 2}, {"Contract", 27}}
	if got := phasesOf(history, "new"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTableShowsBothArms(t *testing.T) {
	r := good()
	r.Guarded.P99Ms, r.Usual.P99Ms = 12.3, 4567.8
	text := strings.Join(r.table(), "\n")
	for _, want := range []string{"with Interlock", "the usual way", "12 ms", "4568 ms", "failed requests"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
