package schemamigration

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/runtime/conditions"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/internal/pgtest"
	"github.com/interlock-dev/interlock/migrations/schema/plan"
)

const (
	initial = "-- +goose Up\nCREATE TABLE orders (id bigint PRIMARY KEY, customer text);\n"
	expand  = "-- +goose Up\nALTER TABLE orders ADD COLUMN note text;\n"
	fill    = "-- +goose Up\nUPDATE orders SET note = 'none' WHERE note IS NULL;\n"
	reduce  = "-- +goose Up\nALTER TABLE orders DROP COLUMN customer;\n"
)

// whole is a change in all three phases.
func whole() map[string]string {
	return map[string]string{"00001_init.sql": initial, "00002_expand.sql": expand, "00003_fill.sql": fill, "00004_reduce.sql": reduce}
}

func audited(d *v1alpha1.Database) { d.Spec.Enforcement = v1alpha1.EnforcementAudit }

// columns lists the columns of orders.
func columns(t *testing.T, uri string) string {
	t.Helper()
	conn := pgtest.Connect(t, uri)
	defer func() { _ = conn.Close(t.Context()) }() // a session of ours would hold the contract step
	return pgtest.Value[string](t, conn,
		"SELECT coalesce(string_agg(column_name, ',' ORDER BY ordinal_position), '') FROM information_schema.columns WHERE table_name = 'orders'")
}

// No policies are installed here, and an API server that can not be asked counts like one that lets old readers in.
func TestFenceThatDoesNotStandIsWithdrawn(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	m := f.migration(whole(), nil)
	f.await(m, v1alpha1.ReadyCondition, ReasonMigrated)
	if got := f.params("shop.ready"); got != "4" {
		t.Errorf("ready is %s, want 4: contract steps do not count", got)
	}
	message := f.await(m, v1alpha1.ContractedCondition, ReasonFenceNotStanding)
	if !strings.Contains(message, "API server") {
		t.Errorf("the message does not name the API server: %q", message)
	}
	if got := f.params("shop.min"); got != "0" {
		t.Errorf("the fence that does not stand is still published: min is %s", got)
	}
	if got := columns(t, f.uri); got != "id,customer,note" {
		t.Errorf("the contract step ran without a fence: %s", got)
	}
	if !conditions.IsTrue(m, v1alpha1.ReadyCondition) {
		t.Error("a contract step that waits made Ready false")
	}
}

func TestAuditRunsContractOnlyWhenApproved(t *testing.T) {
	t.Parallel()
	f := newFixture(t, audited)
	m := f.migration(whole(), nil)
	f.await(m, v1alpha1.ContractedCondition, ReasonWaitingForApproval)
	f.update(m, func() { m.Annotations = map[string]string{v1alpha1.ApproveAnnotation: "of-another-plan"} })
	time.Sleep(300 * time.Millisecond)
	f.await(m, v1alpha1.ContractedCondition, ReasonWaitingForApproval)
	f.update(m, func() { m.Annotations[v1alpha1.ApproveAnnotation] = m.Status.PlanHash })
	for !conditions.IsTrue(m, v1alpha1.ContractedCondition) {
		if err := api.client.Get(t.Context(), client.ObjectKeyFromObject(m), m); err != nil {
			t.Fatal(err)
		}
		if !conditions.IsTrue(m, v1alpha1.ReadyCondition) {
			t.Fatalf("a contract step that runs made Ready false: %+v", m.Status.Conditions)
		}
	}
	if got := columns(t, f.uri); got != "id,note" {
		t.Errorf("columns are %s, want id,note", got)
	}
	if m.Status.Fence.Committed != 4 || m.Status.ContractedVersion != 4 || m.Status.Phase != "Done" {
		t.Errorf("fence %+v, contracted %d, phase %s", m.Status.Fence, m.Status.ContractedVersion, m.Status.Phase)
	}
	var phases []string
	for _, r := range m.Status.History {
		phases = append(phases, r.Phase)
	}
	if got := strings.Join(phases, ","); got != "Expand,Expand,Backfill,Contract" {
		t.Errorf("receipts are %s", got)
	}
}

func TestReadersHoldTheContractStep(t *testing.T) {
	t.Parallel()
	f := newFixture(t, audited)
	pod := &corev1.Pod{ObjectMeta: f.meta("old"), Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "shop:1",
		EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "shop-app"}}}}}}}}
	f.create(pod)
	m := f.migration(whole(), nil)
	message := f.await(m, v1alpha1.ContractedCondition, ReasonWaitingForReaders)
	if !strings.Contains(message, "Pod old") || len(m.Status.Holders) != 1 || m.Status.HoldersTotal != 1 {
		t.Errorf("the holder is not named: %q, %+v", message, m.Status.Holders)
	}
	if err := api.client.Delete(t.Context(), pod, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	f.await(m, v1alpha1.ContractedCondition, ReasonWaitingForApproval)

	session := pgtest.Connect(t, f.uri)
	message = f.await(m, v1alpha1.ContractedCondition, ReasonWaitingForReaders)
	if !strings.Contains(message, "Session pid") || !strings.Contains(message, "belongs to no listed pod") {
		t.Errorf("the session is not named: %q", message)
	}
	_ = session.Close(t.Context())
	f.await(m, v1alpha1.ContractedCondition, ReasonWaitingForApproval)
}

func TestBadInputAndRecovery(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		files       map[string]string
		wantReason  string
		wantMessage string
		repair      func(*fixture, *v1alpha1.SchemaMigration)
	}{
		"SQL that does not parse": {
			files:      map[string]string{"00001_init.sql": initial, "00002_bad.sql": "-- +goose Up\nALTER TABEL orders ADD x int;\n"},
			wantReason: ReasonClassificationRefused, wantMessage: "00002_bad.sql:2",
			repair: func(f *fixture, m *v1alpha1.SchemaMigration) {
				f.update(m, func() { m.Spec.Inline["00002_bad.sql"] = expand })
			},
		},
		"a file that mixes phases": {
			files:      map[string]string{"00001_init.sql": initial, "00002_mixed.sql": expand + "ALTER TABLE orders DROP COLUMN customer;\n"},
			wantReason: ReasonClassificationRefused, wantMessage: "00002_mixed.sql",
			repair: func(f *fixture, m *v1alpha1.SchemaMigration) {
				f.update(m, func() { m.Spec.Inline["00002_mixed.sql"] = expand })
			},
		},
		"a file without goose annotations": {
			files:      map[string]string{"00001_init.sql": "CREATE TABLE orders (id int);"},
			wantReason: ReasonSourceInvalid, wantMessage: "00001_init.sql",
			repair: func(f *fixture, m *v1alpha1.SchemaMigration) {
				f.update(m, func() { m.Spec.Inline["00001_init.sql"] = initial })
			},
		},
		"a step that fails": {
			files:      map[string]string{"00001_index.sql": "-- +goose Up\nALTER TABLE elsewhere ADD COLUMN x int;\n"},
			wantReason: ReasonStepFailed, wantMessage: `00001_index.sql:2: relation "elsewhere" does not exist`,
			repair: func(f *fixture, _ *v1alpha1.SchemaMigration) {
				conn := pgtest.Connect(f.t, f.uri)
				pgtest.Exec(f.t, conn, "CREATE TABLE elsewhere (id int)")
				_ = conn.Close(f.t.Context())
			},
		},
		"a wrong password": {
			files:      map[string]string{"00001_init.sql": initial},
			wantReason: "AuthenticationFailed", wantMessage: "Database \"shop\"",
			repair: func(f *fixture, _ *v1alpha1.SchemaMigration) { f.secret(f.uri) },
		},
		"a missing key": {
			files:      map[string]string{"00001_init.sql": initial},
			wantReason: ReasonSecretNotFound, wantMessage: `no key "uri"`,
			repair: func(f *fixture, _ *v1alpha1.SchemaMigration) { f.secret(f.uri) },
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil)
			switch name {
			case "a wrong password":
				f.secret(strings.Replace(f.uri, pgtest.Password, "not-the-password", 1))
			case "a missing key":
				f.secret("")
			}
			m := f.migration(maps.Clone(tt.files), nil)
			message := f.await(m, v1alpha1.ReadyCondition, tt.wantReason)
			if !strings.Contains(message, tt.wantMessage) || strings.Contains(message, "not-the-password") {
				t.Errorf("message is %q, want …%s… and no secret", message, tt.wantMessage)
			}
			tt.repair(f, m)
			f.await(m, v1alpha1.ReadyCondition, ReasonMigrated)
		})
	}
}

// secret replaces the connection string.
func (f *fixture) secret(uri string) {
	f.t.Helper()
	s := &corev1.Secret{ObjectMeta: f.meta("shop-db")}
	f.update(s, func() { s.Data = map[string][]byte{"uri": []byte(uri)} })
}

func TestEditedMigrationIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	m := f.migration(map[string]string{"00001_init.sql": initial}, nil)
	f.await(m, v1alpha1.ReadyCondition, ReasonMigrated)
	f.update(m, func() { m.Spec.Inline["00001_init.sql"] = initial + "-- edited\n" })
	message := f.await(m, v1alpha1.ReadyCondition, plan.ReasonEditedMigration)
	if !strings.Contains(message, "00001_init.sql") || !conditions.IsTrue(m, v1alpha1.StalledCondition) {
		t.Errorf("the message does not name the file, or it is not stalled: %q", message)
	}
}

func TestTwoSeriesOnOneDatabase(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	shop := f.migration(map[string]string{"00001_init.sql": initial}, nil)
	billing := &v1alpha1.SchemaMigration{ObjectMeta: f.meta("billing")}
	billing.Spec.DatabaseRef.Name, billing.Spec.Series = "shop", "billing"
	billing.Spec.Inline = map[string]string{"00001_init.sql": "-- +goose Up\nCREATE TABLE invoices (id int PRIMARY KEY);\n"}
	f.create(billing)
	f.await(shop, v1alpha1.ContractedCondition, ReasonContracted)
	f.await(billing, v1alpha1.ContractedCondition, ReasonContracted)
	if f.params("shop.ready") != "1" || f.params("billing.ready") != "1" {
		t.Errorf("ready: shop %s, billing %s", f.params("shop.ready"), f.params("billing.ready"))
	}
	third := &v1alpha1.SchemaMigration{ObjectMeta: f.meta("zz-third")}
	third.Spec.DatabaseRef.Name, third.Spec.Series, third.Spec.Inline = "shop", "shop", map[string]string{"00001_init.sql": initial}
	time.Sleep(1100 * time.Millisecond) // creation times have whole seconds
	f.create(third)
	if message := f.await(third, v1alpha1.ReadyCondition, ReasonSeriesTaken); !strings.Contains(message, `"shop"`) {
		t.Errorf("the message does not name the owner: %q", message)
	}
}

func TestRollBackBeforeContract(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	m := f.migration(whole(), func(m *v1alpha1.SchemaMigration) { m.Spec.Contract.Approval = v1alpha1.ApprovalManual })
	f.await(m, v1alpha1.ContractedCondition, ReasonWaitingForApproval)
	f.update(m, func() { m.Spec.Inline = map[string]string{"00001_init.sql": initial} })
	f.await(m, v1alpha1.ContractedCondition, ReasonContracted)
	if m.Status.TargetVersion != 1 || !conditions.IsTrue(m, v1alpha1.ReadyCondition) {
		t.Errorf("target %d, conditions %+v", m.Status.TargetVersion, m.Status.Conditions)
	}
	if got := columns(t, f.uri); got != "id,customer,note" {
		t.Errorf("going back changed the schema: %s", got)
	}
	f.update(m, func() { m.Spec.Inline = whole() })
	f.await(m, v1alpha1.ContractedCondition, ReasonWaitingForApproval)
}

func TestSuspend(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	m := f.migration(map[string]string{"00001_init.sql": initial}, func(m *v1alpha1.SchemaMigration) { m.Spec.Suspend = true })
	f.await(m, v1alpha1.ReadyCondition, ReasonSuspended)
	if got := columns(t, f.uri); got != "" {
		t.Errorf("a suspended step ran: %s", got)
	}
	f.update(m, func() { m.Spec.Suspend = false })
	f.await(m, v1alpha1.ReadyCondition, ReasonMigrated)
}

func TestGateOpensWhenReady(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	pod := &corev1.Pod{ObjectMeta: f.meta("early"), Spec: corev1.PodSpec{
		SchedulingGates: []corev1.PodSchedulingGate{{Name: "example.com/other"}, {Name: v1alpha1.SchemaGate}},
		Containers:      []corev1.Container{{Name: "app", Image: "shop:2"}}}}
	pod.Labels = map[string]string{v1alpha1.StampedLabel: "true", v1alpha1.StampLabel("shop"): "2"}
	f.create(pod)
	m := f.migration(map[string]string{"00001_init.sql": initial}, nil)
	f.await(m, v1alpha1.ReadyCondition, ReasonMigrated)
	time.Sleep(500 * time.Millisecond)
	if got := f.gates(pod); got != "example.com/other,interlock.dev/schema" {
		t.Fatalf("a pod above ready was let go: gates are %s", got)
	}
	f.update(m, func() { m.Spec.Inline["00002_expand.sql"] = expand })
	f.await(m, v1alpha1.ReadyCondition, ReasonMigrated)
	for range 100 {
		if f.gates(pod) == "example.com/other" {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("gates are %s, want only example.com/other", f.gates(pod))
}

func (f *fixture) gates(p *corev1.Pod) string {
	f.t.Helper()
	if err := api.client.Get(f.t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
		f.t.Fatal(err)
	}
	var names []string
	for _, g := range p.Spec.SchedulingGates {
		names = append(names, g.Name)
	}
	return strings.Join(names, ",")
}

func TestDeletingKeepsTheFenceOfStampedWorkloads(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	m := f.migration(map[string]string{"00001_init.sql": initial}, nil)
	f.await(m, v1alpha1.ReadyCondition, ReasonMigrated)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "app",
		Labels: map[string]string{v1alpha1.StampedLabel: "true", v1alpha1.StampLabel("shop"): "1"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "shop:1"}}}}
	f.create(pod)
	f.deleteAndWait(m)
	if got := f.params("shop.ready"); got != "1" {
		t.Errorf("deleting the object changed what may start: ready is %q", got)
	}
	if err := api.client.Delete(t.Context(), pod, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	m = f.migration(map[string]string{"00001_init.sql": initial}, nil)
	f.await(m, v1alpha1.ReadyCondition, ReasonMigrated)
	f.deleteAndWait(m)
	if got := f.params("shop.ready"); got != "" {
		t.Errorf("nothing stamped is left, but ready is still %q", got)
	}
}

func (f *fixture) deleteAndWait(m *v1alpha1.SchemaMigration) {
	f.t.Helper()
	if err := api.client.Delete(f.t.Context(), m); err != nil {
		f.t.Fatal(err)
	}
	for range 200 {
		if err := api.client.Get(f.t.Context(), client.ObjectKeyFromObject(m), m); client.IgnoreNotFound(err) == nil && err != nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	f.t.Fatal("the SchemaMigration does not go away")
}
