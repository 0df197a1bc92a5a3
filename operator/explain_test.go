package main

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

func condition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message}
}

func TestExplainMigration(t *testing.T) {
	migrated := condition(v1alpha1.ReadyCondition, metav1.ConditionTrue, "Migrated", "every step up to shop@5 is applied")
	tests := map[string]struct {
		status v1alpha1.SchemaMigrationStatus
		want   []string
	}{
		"nobody looked at it": {
			status: v1alpha1.SchemaMigrationStatus{},
			want:   []string{"Is the operator running?"},
		},
		"a contract step waits": {
			status: v1alpha1.SchemaMigrationStatus{ObservedGeneration: 1, Phase: "Contract", ReadyVersion: 5, TargetVersion: 5,
				Conditions: []metav1.Condition{migrated,
					condition(v1alpha1.ContractedCondition, metav1.ConditionFalse, "WaitingForReaders", "contract step 00005_contract.sql waits for Pod shop-1")},
				Holders:      []v1alpha1.Holder{{Kind: "Pod", Name: "shop-1", Version: 1, Reason: "it was built for shop@1; it goes when its workload rolls out shop@5 or newer"}},
				HoldersTotal: 3},
			want: []string{"is ready (phase Contract)", "Code up to version 5 may start", "waits for Pod shop-1.",
				"Pod shop-1 holds it: it was built for shop@1; it goes when", "and 2 more"},
		},
		"a fence stands": {
			status: v1alpha1.SchemaMigrationStatus{ObservedGeneration: 1, Phase: "Done", Conditions: []metav1.Condition{migrated},
				Fence: v1alpha1.FenceStatus{Committed: 5, OldestRevision: "main@sha1:abc (image shop:v2)"}},
			want: []string{"The fence stands at 5", "main@sha1:abc (image shop:v2)"},
		},
		"a file that does not parse": {
			status: v1alpha1.SchemaMigrationStatus{ObservedGeneration: 1, Phase: "Pending", Conditions: []metav1.Condition{
				condition(v1alpha1.ReadyCondition, metav1.ConditionFalse, "SourceInvalid", "00002_x.sql:3: syntax error"),
				condition(v1alpha1.StalledCondition, metav1.ConditionTrue, "SourceInvalid", "00002_x.sql:3: syntax error")}},
			want: []string{"is stuck (phase Pending) until somebody changes something: 00002_x.sql:3: syntax error."},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := &v1alpha1.SchemaMigration{ObjectMeta: metav1.ObjectMeta{Name: "shop-shop", Generation: 1},
				Spec: v1alpha1.SchemaMigrationSpec{Series: "shop"}, Status: tt.status}
			got := strings.Join(explainMigration(m), "\n")
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("%q is not in:\n%s", want, got)
				}
			}
		})
	}
}

func TestExplainBundle(t *testing.T) {
	b := &v1alpha1.AppBundle{ObjectMeta: metav1.ObjectMeta{Name: "shop", Generation: 2}}
	b.Status = v1alpha1.AppBundleStatus{ObservedGeneration: 2, Phase: "Expand", LastAppliedRevision: "main@sha1:aaa",
		LastAttemptedRevision: "main@sha1:bbb", WaitingOn: "backfill step 00003: 10 of 300 rows",
		Conditions: []metav1.Condition{condition(v1alpha1.ReadyCondition, metav1.ConditionFalse, "Progressing", "schema first")}}
	got := strings.Join(explainBundle(b), "\n")
	for _, want := range []string{"is not ready yet (phase Expand): schema first.", "main@sha1:aaa is applied",
		"main@sha1:bbb is on its way, and what ran before keeps serving", "It waits: backfill step 00003"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in:\n%s", want, got)
		}
	}
	b.Spec.Suspend = true
	if got := explainBundle(b); !strings.Contains(got[0], "suspended") {
		t.Errorf("a suspended bundle says %q", got)
	}
}
