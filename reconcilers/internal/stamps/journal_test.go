package stamps

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/internal/pgtest"
	"github.com/interlock-dev/interlock/migrations/schema"
	"github.com/interlock-dev/interlock/migrations/schema/journal"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// journalAt makes a Journal whose Database is a fresh one.
func journalAt(uri string) (Journal, *v1alpha1.Database) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "db"}, Data: map[string][]byte{"uri": []byte(uri)}}
	return Journal{Live: fake.NewClientBuilder().WithObjects(secret).Build()}, &v1alpha1.Database{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "db"},
		Spec: v1alpha1.DatabaseSpec{Connection: v1alpha1.DatabaseConnection{SecretRef: v1alpha1.SecretKeyReference{Name: "db", Key: "uri"}}}}
}

func TestJournal(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	uri := pgtest.Database(t)
	j, db := journalAt(uri)
	known, err := j.Known(ctx, db, "shop")
	if err != nil || len(known.Images)+len(known.Versions) != 0 {
		t.Fatalf("a database without a journal knows %+v, %v", known, err)
	}
	if held, err := j.Record(ctx, db, "shop", []Image{{Image: "a:1", Version: 3, Commit: "c"}, {Image: "a:2", Version: 5}}); err != nil || held["a:1"] != 3 || held["a:2"] != 5 {
		t.Fatalf("recorded %v, %v", held, err)
	}
	if held, err := j.Record(ctx, db, "shop", []Image{{Image: "a:1", Version: 4}, {Image: "a:2", Version: 2}}); err != nil || held["a:1"] != 3 || held["a:2"] != 2 {
		t.Errorf("the lower version holds: got %v, %v", held, err)
	}
	conn := pgtest.Connect(t, uri)
	if err := journal.RecordVersions(ctx, conn, "shop", []schema.File{{Version: 301, Name: "301_a.sql", Checksum: "x"}}); err != nil {
		t.Fatal(err)
	}
	known, err = j.Known(ctx, db, "shop")
	if err != nil || known.Images["a:1"] != 3 || known.Images["a:2"] != 2 || !slices.Equal(known.Versions, []int64{301}) {
		t.Errorf("knows %+v, %v", known, err)
	}
	if other, err := j.Known(ctx, db, "billing"); err != nil || len(other.Images) != 0 {
		t.Errorf("another series knows %+v, %v", other, err)
	}
}

func TestJournalErrorsHoldNoPassword(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	j, db := journalAt("postgres://app:s3cret@127.0.0.1:1/shop")
	_, err := j.Known(ctx, db, "shop")
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error %v", err)
	}
	db.Spec.Connection.SecretRef.Name = "gone"
	if _, err := j.Record(ctx, db, "shop", []Image{{Image: "a:1"}}); err == nil || !strings.Contains(err.Error(), `"gone"`) {
		t.Errorf("error %v, want one that names the Secret", err)
	}
}
