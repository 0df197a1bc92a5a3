package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/e2e/load"
)

func contracting() view {
	return view{
		title: "shop", elapsed: 83 * time.Second,
		bundle: &v1alpha1.AppBundle{Status: v1alpha1.AppBundleStatus{Phase: "Contract", WaitingOn: "2 old readers"}},
		migration: &v1alpha1.SchemaMigration{Status: v1alpha1.SchemaMigrationStatus{
			ReadyVersion: 5, TargetVersion: 5, ContractedVersion: 4,
			Fence: v1alpha1.FenceStatus{State: v1alpha1.FenceProposed, Version: 5},
			Steps: []v1alpha1.SchemaStep{{Name: "00005_drop.sql", Phase: "contract", State: "Waiting", Message: "for readers below 5"}},
			Holders: []v1alpha1.Holder{{Kind: "Pod", Name: "shop-a", Version: 1,
				Reason: "it is terminating; it goes when its last request is answered " + strings.Repeat("and so on ", 30)}},
			HoldersTotal: 3,
		}},
		pods:   map[string]podCount{"1": {1, 0}, "2": {3, 3}},
		counts: load.Report{Requests: 9000, Failed: 2, ByKind: map[string]int{"timeout": 2}},
	}
}

func TestViewSaysWhoHoldsWhatBack(t *testing.T) {
	v := contracting()
	table := strings.Join(v.lines(), "\n")
	for _, want := range []string{"1:23", "Contract", "waits: 2 old readers", "version 5 is ready of 5, contracted up to 4, fence proposed at 5",
		"00005_drop.sql", "waiting", "Pod shop-a, built for version 1", "and 2 more", "version 1: 1 (0 ready), version 2: 3 (3 ready)",
		"9000 requests, 2 failed, 2× timeout"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	for _, line := range v.lines() {
		if len([]rune(line)) > width {
			t.Errorf("%d characters: %s", len([]rune(line)), line)
		}
	}
	if line := v.line(); strings.Contains(line, "\n") || !strings.Contains(line, "held by 3, first Pod shop-a") {
		t.Errorf("line %q; want one line that names the holder", line)
	}
}

func TestScreen(t *testing.T) {
	v := contracting()
	var terminal, log bytes.Buffer
	tty, plain := &screen{out: &terminal, terminal: true}, &screen{out: &log}
	for range 3 {
		tty.show(v)
		plain.show(v)
		v.elapsed += time.Second
	}
	if up := strings.Count(terminal.String(), "\x1b["); up != 4 { // two redraws, each goes up and clears
		t.Errorf("%d escape sequences on a terminal, want 4: %q", up, terminal.String())
	}
	if got := strings.Count(log.String(), "\n"); got != 1 || strings.Contains(log.String(), "\x1b") {
		t.Errorf("log %q; want one plain line, for nothing changed", log.String())
	}
	v.bundle.Status.Phase = "Done"
	plain.show(v)
	if got := strings.Count(log.String(), "\n"); got != 2 {
		t.Errorf("%d lines after a change, want 2", got)
	}
	if _, err := plain.Write([]byte("built ")); err != nil || strings.Contains(log.String(), "built") {
		t.Errorf("half a line was printed: %v %q", err, log.String())
	}
	if _, err := plain.Write([]byte("it\n")); err != nil || !strings.Contains(log.String(), "  built it\n") {
		t.Errorf("a whole line was not printed: %v %q", err, log.String())
	}
}
