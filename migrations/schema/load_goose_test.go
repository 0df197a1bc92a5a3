package schema

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

// recorder is a database that only writes down which statements goose sends, and whether in a transaction.
type recorder struct {
	mu         sync.Mutex
	statements []string
	inTx       bool
}

func (r *recorder) Connect(context.Context) (driver.Conn, error) { return recorderConn{r}, nil }
func (r *recorder) Driver() driver.Driver                        { return nil }

type recorderConn struct{ r *recorder }

func (c recorderConn) Prepare(string) (driver.Stmt, error) { return nil, errors.New("not used") }
func (c recorderConn) Close() error                        { return nil }
func (c recorderConn) Commit() error                       { return nil }
func (c recorderConn) Rollback() error                     { return nil }

func (c recorderConn) Begin() (driver.Tx, error) {
	c.r.inTx = true
	return c, nil
}

func (c recorderConn) ExecContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.r.statements = append(c.r.statements, query)
	return driver.RowsAffected(0), nil
}

// noStore is a version table that remembers one number.
type noStore struct{ version *int64 }

func (noStore) Tablename() string                                            { return "versions" }
func (noStore) TableExists(context.Context, database.DBTxConn) (bool, error) { return true, nil }
func (noStore) CreateVersionTable(context.Context, database.DBTxConn) error  { return nil }
func (s noStore) Delete(_ context.Context, _ database.DBTxConn, _ int64) error {
	*s.version = 0
	return nil
}
func (s noStore) GetLatestVersion(context.Context, database.DBTxConn) (int64, error) {
	return *s.version, nil
}

func (s noStore) Insert(_ context.Context, _ database.DBTxConn, req database.InsertRequest) error {
	*s.version = req.Version
	return nil
}

func (s noStore) GetMigration(_ context.Context, _ database.DBTxConn, v int64) (*database.GetMigrationResult, error) {
	if v > *s.version {
		return nil, database.ErrVersionNotFound
	}
	return &database.GetMigrationResult{IsApplied: true}, nil
}

func (s noStore) ListMigrations(context.Context, database.DBTxConn) ([]*database.ListMigrationsResult, error) {
	list := []*database.ListMigrationsResult{{Version: 0, IsApplied: true}}
	if *s.version == 1 {
		list = slices.Insert(list, 0, &database.ListMigrationsResult{Version: 1, IsApplied: true})
	}
	return list, nil
}

// viaGoose runs the text up and down through goose itself and returns what reached the database.
func viaGoose(text string) (up, down []string, inTx bool, err error) {
	rec, version := &recorder{}, int64(0)
	db := sql.OpenDB(rec)
	defer func() { _ = db.Close() }()
	p, err := goose.NewProvider("", db, fstest.MapFS{"1_a.sql": {Data: []byte(text)}}, goose.WithStore(noStore{&version}))
	if err != nil {
		return nil, nil, false, err
	}
	if _, err = p.Up(context.Background()); err != nil {
		return nil, nil, false, err
	}
	up, inTx, rec.statements = rec.statements, rec.inTx, nil
	_, err = p.Down(context.Background())
	return up, rec.statements, inTx, err
}

// sameAsGoose loads a text both ways. Load may refuse what goose takes, never the reverse, and what both take
// must be the same statements.
func sameAsGoose(t *testing.T, text string) {
	t.Helper()
	files, err := Load(map[string]string{"1_a.sql": text})
	if err != nil {
		return
	}
	gotUp, gotDown := texts(files[0].Up), texts(files[0].Down)
	wantUp, wantDown, inTx, err := viaGoose(text)
	if err != nil {
		t.Fatalf("Load accepts what goose refuses: %v\n%q", err, text)
	}
	if !slices.Equal(gotUp, wantUp) || !slices.Equal(gotDown, wantDown) {
		t.Fatalf("%q:\nup %q, goose %q\ndown %q, goose %q", text, gotUp, wantUp, gotDown, wantDown)
	}
	if len(wantUp) > 0 && inTx == files[0].NoTransaction {
		t.Fatalf("%q: no transaction %v, goose used one: %v", text, files[0].NoTransaction, inTx)
	}
}

func texts(statements []Statement) []string {
	var list []string
	for _, s := range statements {
		list = append(list, s.SQL)
	}
	return list
}

var gooseSeeds = []string{
	up + "SELECT 1;\n-- +goose Down\nSELECT 2;\n",
	up + "\n  \n-- note\nSELECT 1, -- ;\n';' ;\nSELECT\n\n2; -- end\n",
	up + "-- +goose StatementBegin\nCREATE FUNCTION f() AS $$\n;\n-- in\n$$;\n-- +goose StatementEnd\n\nSELECT 1;\n-- +goose Down\n-- +goose StatementBegin\nx;\n-- +goose StatementEnd\n y;",
	"-- +goose NO TRANSACTION\r\n" + up + "A;\r\nB; C;\r\n",
	up + "-- +goose StatementBegin\n-- +goose StatementEnd\nSELECT 1;\nSELECT 2;\n",
	"\n  \n-- +goose  up \nSELECT 1;;\n/* ; */\n;\n-- --+goose Down\n",
	up + "  \n-- kept\nSELECT 1;\n \n-- +goose Down\n \nD;\n",
}

func TestSameAsGoose(t *testing.T) {
	for _, text := range gooseSeeds {
		sameAsGoose(t, text)
	}
}

func FuzzSameAsGoose(f *testing.F) {
	for _, text := range gooseSeeds {
		f.Add(text)
	}
	f.Fuzz(sameAsGoose)
}
