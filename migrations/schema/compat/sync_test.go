package compat

import (
	"strings"
	"testing"

	"github.com/interlock-dev/interlock/migrations/schema"
)

// syncBody keeps customers.name and customers.full_name equal, whichever is written.
const syncBody = `CREATE FUNCTION sync() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.full_name IS NULL THEN NEW.full_name := NEW.name; ELSE NEW.name := NEW.full_name; END IF;
  ELSIF NEW.name IS DISTINCT FROM OLD.name THEN
    NEW.full_name := NEW.name;
  ELSIF NEW.full_name IS DISTINCT FROM OLD.full_name THEN
    NEW.name := NEW.full_name;
  END IF;
  RETURN NEW;
END $$;`

const (
	addFullName = "ALTER TABLE customers ADD COLUMN full_name text;\n"
	syncTrigger = "\nCREATE TRIGGER zz_sync BEFORE INSERT OR UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION sync();\n"
	always      = "ALTER TABLE customers ENABLE ALWAYS TRIGGER zz_sync;\n"
	equal       = "ALTER TABLE customers ADD CONSTRAINT same CHECK (full_name IS NOT DISTINCT FROM name) NOT VALID;"
)

// TestRename is the whole way of a renamed column that gets NOT NULL, file by file.
func TestRename(t *testing.T) {
	texts := []string{
		shop,
		addFullName + syncBody + syncTrigger + always + equal + "\nALTER TABLE customers ADD CONSTRAINT set CHECK (full_name IS NOT NULL) NOT VALID;",
		"UPDATE customers SET full_name = name WHERE full_name IS DISTINCT FROM name;",
		"ALTER TABLE customers VALIDATE CONSTRAINT same; ALTER TABLE customers VALIDATE CONSTRAINT set;",
		`DROP TRIGGER zz_sync ON customers; DROP FUNCTION sync(); ALTER TABLE customers DROP CONSTRAINT same;
ALTER TABLE customers ALTER full_name SET NOT NULL; ALTER TABLE customers ALTER full_name SET DEFAULT '';
ALTER TABLE customers DROP CONSTRAINT set; DROP VIEW adults; ALTER TABLE customers DROP COLUMN name;`,
	}
	all, err := Classify(load(t, texts...))
	if err != nil {
		t.Fatal(err)
	}
	want := []schema.Phase{expand, expand, backfill, backfill, contract}
	for i, c := range all {
		if err := c.Err(); err != nil || c.Phase != want[i] || c.TwoStep {
			t.Errorf("%s: %s, two-step %v, %v; want %s", c.File.Name, c.Phase, c.TwoStep, err, want[i])
		}
	}
	if last := all[4]; strings.Contains(costs(last), "scan") {
		t.Errorf("SET NOT NULL reads the table although a CHECK is validated: %s", costs(last))
	}
	if !hasCode(all[1].Findings, "kept-by-trigger") {
		t.Errorf("nothing says why the CHECK is expand: %v", all[1].Findings)
	}
	if got := strings.Join(all[1].Touches, " "); got != "customers function sync" {
		t.Errorf("touches %q", got)
	}
}

func TestSyncCheck(t *testing.T) {
	trigger := func(body, clause string) string {
		return addFullName + "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " + body + " END $$;\nCREATE TRIGGER t " + clause + " EXECUTE FUNCTION f();\n"
	}
	const assigns, each = "NEW.full_name := NEW.name; RETURN NEW;", "BEFORE INSERT OR UPDATE ON customers FOR EACH ROW"
	tests := []struct {
		name, sql string
		want      schema.Phase
	}{
		{"kept", trigger(assigns, each) + equal, expand},
		{"kept by SELECT INTO", trigger("SELECT NEW.name INTO NEW.full_name; RETURN NEW;", each) + equal, expand},
		{"kept, lossy pair", trigger(assigns, each) + "ALTER TABLE customers ADD CHECK (name = full_name AND full_name IS NOT NULL) NOT VALID;", expand},
		{"kept, either absent or equal", trigger(assigns, each) + "ALTER TABLE customers ADD CHECK (name IS NULL OR name = full_name) NOT VALID;", expand},
		{"of the columns of the condition", trigger(assigns, "BEFORE INSERT OR UPDATE OF name, full_name ON customers FOR EACH ROW") + equal, expand},
		{"beside another function of that name", trigger(assigns, each) + "CREATE FUNCTION f(x int) RETURNS int LANGUAGE sql AS 'SELECT 1';" + equal, expand},
		{"no trigger", addFullName + equal, mixedP},
		{"not on update", trigger(assigns, "BEFORE INSERT ON customers FOR EACH ROW") + equal, mixedP},
		{"not before", trigger(assigns, "AFTER INSERT OR UPDATE ON customers FOR EACH ROW") + equal, mixedP},
		{"not for each row", trigger(assigns, "BEFORE INSERT OR UPDATE ON customers FOR EACH STATEMENT") + equal, mixedP},
		{"only of one column", trigger(assigns, "BEFORE INSERT OR UPDATE OF name ON customers FOR EACH ROW") + equal, mixedP},
		{"only under a condition", trigger(assigns, each+" WHEN (NEW.id > 5)") + equal, mixedP},
		{"on another table", trigger(assigns, "BEFORE INSERT OR UPDATE ON orders FOR EACH ROW") + equal, mixedP},
		{"assigns another column", trigger("NEW.note := NEW.name; RETURN NEW;", each) + equal, mixedP},
		{"assigns a variable of that name", trigger("DECLARE full_name text; BEGIN full_name := NEW.name; END; RETURN NEW;", each) + equal, mixedP},
		{"no equality", trigger(assigns, each) + "ALTER TABLE customers ADD CHECK (full_name > name) NOT VALID;", mixedP},
		{"only one half is kept", trigger(assigns, each) + "ALTER TABLE customers ADD CHECK (full_name = name AND age > 3) NOT VALID;", mixedP},
		{"validated at once", trigger(assigns, each) + "ALTER TABLE customers ADD CHECK (full_name = name);", mixedP},
		{"not any more", trigger(assigns, each) + "DROP TRIGGER t ON customers;" + equal, mixedP},
		{"not any more: disabled", trigger(assigns, each) + "ALTER TABLE customers DISABLE TRIGGER t;" + equal, mixedP},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if c := classify(t, shop, tt.sql); c.Phase != tt.want {
				t.Errorf("phase %s, want %s: %v", c.Phase, tt.want, c.Findings)
			}
		})
	}
}

func TestTriggerEffects(t *testing.T) {
	tests := []struct {
		name, body, clause string
		want               schema.Phase
		wantFinding        string
	}{
		{name: "assigns", body: "NEW.note := lower(NEW.note); RETURN NEW;", want: expand},
		{name: "raises", body: "IF NEW.age > 3 THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW;", want: contract},
		{name: "only warns", body: "RAISE WARNING 'hm'; RETURN NEW;", want: expand},
		{name: "asserts", body: "ASSERT NEW.age > 3; RETURN NEW;", want: contract},
		{name: "drops the row", body: "IF NEW.age > 3 THEN RETURN NULL; END IF; RETURN NEW;", want: contract},
		{name: "keeps the old row", body: "RETURN OLD;", want: contract},
		{name: "returns nothing after the row", clause: "AFTER INSERT", body: "PERFORM pg_notify('a', 'b'); RETURN NULL;", want: expand},
		{name: "lets a row go", clause: "BEFORE DELETE", body: "RETURN OLD;", want: expand},
		{name: "cast of a text", body: "NEW.age := NEW.note::int; RETURN NEW;", want: contract},
		{name: "cast of a text that is caught", body: "BEGIN NEW.age := NEW.note::int; EXCEPTION WHEN others THEN NEW.age := 0; END; RETURN NEW;", want: expand},
		{name: "assignment of a text to a number", body: "NEW.age := NEW.note; RETURN NEW;", want: contract},
		{name: "cast to text", body: "NEW.note := NEW.age::text; RETURN NEW;", want: expand, wantFinding: "trigger-cast"},
		{name: "dynamic SQL", body: "EXECUTE 'DROP TABLE orders'; RETURN NEW;", want: unknownP},
		{name: "calls something", body: "PERFORM other(); RETURN NEW;", want: unknownP},
		{name: "changes the shape", body: "DROP TABLE orders; RETURN NEW;", want: unknownP},
		{name: "writes another table", body: "INSERT INTO orders (customer) VALUES (NEW.id); RETURN NEW;", want: expand, wantFinding: "trigger-writes-tables"},
		{name: "does not parse", body: "IF; RETURN NEW;", want: unknownP},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clause := tt.clause
			if clause == "" {
				clause = "BEFORE INSERT OR UPDATE"
			}
			c := classify(t, shop, "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "+tt.body+" END $$;",
				"CREATE TRIGGER t "+clause+" ON customers FOR EACH ROW EXECUTE FUNCTION f();")
			if c.Phase != tt.want {
				t.Errorf("phase %s, want %s: %v", c.Phase, tt.want, c.Findings)
			}
			if tt.wantFinding != "" && !hasCode(c.Findings, tt.wantFinding) {
				t.Errorf("no finding %q in %v", tt.wantFinding, c.Findings)
			}
		})
	}
}

func TestDefaultOfSyncedColumn(t *testing.T) {
	const code = "default-of-synced-column"
	before := "ALTER TABLE customers ADD COLUMN full_name text DEFAULT '';\n" + syncBody + syncTrigger
	after := addFullName + syncBody + syncTrigger + "ALTER TABLE customers ALTER full_name SET DEFAULT '';"
	without := addFullName + syncBody + syncTrigger
	for sql, want := range map[string]bool{before: true, after: true, without: false} {
		if c := classify(t, shop, sql); hasCode(c.Findings, code) != want {
			t.Errorf("finding %s: %v, want %v\n%s", code, !want, want, sql)
		}
	}
}
