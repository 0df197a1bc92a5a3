package scenarios

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/e2e/internal/harness"
)

// The demo's change, with every replica of the operator killed at ten random moments: no request fails, no row is
// lost, and the change gets to its end.
func TestOperatorKilledTenTimes(t *testing.T) {
	s, _ := guarded(t)
	l := startLoad(t, s)
	commit, err := s.Push(t.Context(), 2, "The change")
	must(t, err)
	during := 0
	for range 10 {
		must(t, env.WaitLeader(t.Context()))
		time.Sleep(rand.N(4 * time.Second))
		b, err := s.Bundle(t.Context())
		must(t, err)
		m, err := s.Migration(t.Context(), "shop")
		must(t, err)
		t.Logf("killed in phase %s, migration in %s, ready %d, contracted %d", b.Status.Phase, m.Status.Phase, m.Status.ReadyVersion, m.Status.ContractedVersion)
		if m.Status.ContractedVersion < 5 {
			during++
		}
		must(t, env.KillOperator(t.Context()))
	}
	if during < 3 {
		t.Errorf("only %d of ten kills fell into the change; it was over too soon for this test to say much", during)
	}
	must(t, s.WaitDone(t.Context(), commit, changeLimit))
	assertUnharmed(t, s, l)
	assertVersion(t, s, "2")
	assertContracted(t, s)
}

// The database crashes once without a change and once in the middle of it. With the change no request fails outside
// of the outage that a crash alone causes: from the crash until so long after the database is back.
func TestDatabaseRestartedDuringChange(t *testing.T) {
	s, _ := guarded(t)
	control := crash(t, s, 0)
	// The kubelet would wait before it restarts the same container again. The new one has another address, which the
	// shop learns when requests fail.
	must(t, s.ReplaceDatabase(t.Context()))
	l := startLoad(t, s)
	time.Sleep(10 * time.Second)
	l.Stop()

	commit, err := s.Push(t.Context(), 2, "The change")
	must(t, err)
	during := crash(t, s, rand.N(15*time.Second))
	must(t, s.WaitDone(t.Context(), commit, changeLimit))
	t.Logf("requests fail until %s after the database is back without a change, %s with it", control, during)
	// The load counts by the second, and the two cores have more to do during the change.
	if slack := 3 * time.Second; during > control+slack {
		t.Errorf("with the change requests failed until %s after the database was back, without it until %s", during, control)
	}
	l = startLoad(t, s)
	time.Sleep(3 * time.Second)
	assertUnharmed(t, s, l)
	assertContracted(t, s)
}

// crash ends the database's process under load, some time from now, and says how long after the database was back
// requests failed. Requests that fail before the crash, or rows that are lost, fail the test.
func crash(t *testing.T, s *harness.Shop, in time.Duration) time.Duration {
	t.Helper()
	l := startLoad(t, s)
	time.Sleep(3*time.Second + in)
	at := time.Now()
	must(t, s.CrashDatabase(t.Context()))
	time.Sleep(200 * time.Millisecond) // until the last of its processes is gone
	must(t, s.WaitConnect(t.Context()))
	back := time.Now()
	time.Sleep(20 * time.Second)
	r := l.Stop()
	assertRows(t, s, l)
	from, to, any := r.Outage()
	t.Logf("the database was away for %s; requests failed from %s to %s, the crash was at %s", back.Sub(at), from, to, at.Sub(r.Started))
	if !any {
		return 0
	}
	// A request that was due a little earlier can be under way when the crash happens.
	if crashed := at.Sub(r.Started); from < crashed-2*time.Second {
		t.Errorf("requests failed %s before the crash: %+v", crashed-from, r.Failures[0])
	}
	return max(to-back.Sub(r.Started), 0)
}

// With the operator down the app goes on, and pods of the current version start.
func TestOperatorDown(t *testing.T) {
	s, _ := guarded(t)
	t.Cleanup(func() { must(t, env.ScaleOperator(context.Background(), 2)) })
	must(t, env.ScaleOperator(t.Context(), 0))
	l := startLoad(t, s)
	_, err := s.RunKubectl(t.Context(), "delete", "pod", "-l", "app=shop", "--wait=false", "--field-selector", "metadata.name="+onePod(t, s))
	must(t, err)
	must(t, s.WaitRolledOut(t.Context(), time.Minute))
	_, err = s.RunKubectl(t.Context(), "scale", "deployment/shop", "--replicas=4")
	must(t, err)
	must(t, s.WaitRolledOut(t.Context(), time.Minute))
	assertUnharmed(t, s, l)
	must(t, env.ScaleOperator(t.Context(), 2))
}

// Until the contract step runs, going back by git revert works and loses nothing; so does going forward again.
func TestRollBackBeforeContract(t *testing.T) {
	s, _ := guarded(t, func(b *v1alpha1.AppBundle) {
		b.Spec.Migrations[0].Contract.Approval = v1alpha1.ApprovalManual
	})
	l := startLoad(t, s)
	forward, err := s.Push(t.Context(), 2, "The change")
	must(t, err)
	must(t, s.WaitApplied(t.Context(), forward, changeLimit))
	must(t, s.WaitCondition(t.Context(), v1alpha1.ContractedCondition, metav1.ConditionFalse, "pprov", time.Minute))
	must(t, s.WaitRolledOut(t.Context(), time.Minute))
	assertVersion(t, s, "2")

	back, err := s.Repo.Revert(t.Context(), "HEAD")
	must(t, err)
	must(t, s.Reconcile(t.Context()))
	must(t, s.WaitApplied(t.Context(), back, changeLimit))
	must(t, s.WaitRolledOut(t.Context(), time.Minute))
	assertVersion(t, s, "1")

	again, err := s.Repo.Revert(t.Context(), "HEAD")
	must(t, err)
	must(t, s.Reconcile(t.Context()))
	must(t, s.WaitApplied(t.Context(), again, changeLimit))
	must(t, s.Approve(t.Context(), "shop", time.Minute))
	must(t, s.WaitDone(t.Context(), again, changeLimit))
	assertUnharmed(t, s, l)
	assertVersion(t, s, "2")
	assertContracted(t, s)
}

// After the contract step every usual way back is refused, says where one can go, and harms nobody.
func TestRollBackAfterContractIsRefused(t *testing.T) {
	s, _ := guarded(t)
	commit, err := s.Push(t.Context(), 2, "The change")
	must(t, err)
	must(t, s.WaitDone(t.Context(), commit, changeLimit))
	l := startLoad(t, s)
	works := commit
	for _, back := range s.RollBacks() {
		said, err := back.Try(t.Context(), s)
		if err != nil {
			t.Errorf("%s: %v", back.How, err)
			continue
		}
		t.Logf("%s: %s", back.How, said)
		if back.NamesRevision && !strings.Contains(said, works) {
			t.Errorf("%s: the refusal does not name %s: %s", back.How, works, said)
		}
	}
	assertUnharmed(t, s, l)
	assertVersion(t, s, "2")
}

// The migrations come in one commit and the code in a later one that changes nothing but the image's tag.
func TestTagOnlyRollForward(t *testing.T) {
	s, _ := guarded(t)
	l := startLoad(t, s)
	first, err := s.Tree(1)
	must(t, err)
	second, err := s.Tree(2)
	must(t, err)
	for name := range second {
		if strings.HasPrefix(name, "db/") {
			first[name] = second[name]
		}
	}
	migrations, err := s.PushTree(t.Context(), first, "Only the migrations")
	must(t, err)
	must(t, s.WaitApplied(t.Context(), migrations, changeLimit))
	must(t, s.WaitCondition(t.Context(), v1alpha1.ContractedCondition, metav1.ConditionFalse, "", time.Minute))
	assertVersion(t, s, "1")
	m, err := s.Migration(t.Context(), "shop")
	must(t, err)
	if m.Status.HoldersTotal == 0 || m.Status.ReadyVersion != 5 || m.Status.ContractedVersion >= 5 {
		t.Errorf("ready %d, contracted %d, %d holders; want version 1 of the shop to hold the contract step 5", m.Status.ReadyVersion, m.Status.ContractedVersion, m.Status.HoldersTotal)
	}

	code, err := s.PushTag(t.Context(), "1", "2")
	must(t, err)
	must(t, s.Reconcile(t.Context()))
	must(t, s.WaitDone(t.Context(), code, changeLimit))
	assertUnharmed(t, s, l)
	assertVersion(t, s, "2")
	assertContracted(t, s)
}

// assertContracted looks at the table itself: the old columns are gone, the new ones are NOT NULL.
func assertContracted(t *testing.T, s *harness.Shop) {
	t.Helper()
	conn, err := s.Connect(t.Context())
	must(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	var columns string
	must(t, conn.QueryRow(t.Context(), `SELECT string_agg(column_name || CASE is_nullable WHEN 'NO' THEN '!' ELSE '' END, ' ' ORDER BY column_name)
		FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 'orders'`).Scan(&columns))
	if want := "created_at! currency! customer_name! id! quantity! status! total!"; columns != want {
		t.Errorf("columns %q, want %q", columns, want)
	}
}
