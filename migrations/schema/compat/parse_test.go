package compat

import (
	"errors"
	"strings"
	"testing"

	"github.com/interlock-dev/interlock/migrations/schema"
)

func TestParsePositions(t *testing.T) {
	list, err := parse(schema.Statement{Line: 10, SQL: "SELECT 1; -- ü; '\n /* a /* b */ ; */\n  SELECT\n2;SELECT 3"})
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		sql          string
		line, column int
	}{{"SELECT 1", 10, 1}, {"SELECT\n2", 12, 3}, {"SELECT 3", 13, 3}}
	if len(list) != len(want) {
		t.Fatalf("%d statements, want %d", len(list), len(want))
	}
	for i, w := range want {
		if got := list[i]; got.SQL != w.sql || got.Line != w.line || got.column != w.column {
			t.Errorf("got %q at %d:%d, want %q at %d:%d", got.SQL, got.Line, got.column, w.sql, w.line, w.column)
		}
	}
}

// TestDoesNotParse: what PostgreSQL 17 does not know is refused at its place, never waved through.
func TestDoesNotParse(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT 1;\nSELECT 'ü', selec 2;":                               "does-not-parse: PostgreSQL 17 does not parse this: syntax error at or near \"2\"; correct the statement",
		"ALTER TABLE orders ADD CONSTRAINT c NOT NULL x NOT VALID;":     "does-not-parse",
		"ALTER TABLE orders ADD CHECK (x > 1) NOT ENFORCED;":            "does-not-parse",
		"ALTER TABLE orders ADD x int GENERATED ALWAYS AS (1) VIRTUAL;": "does-not-parse",
		"SELECT 'open;": "does-not-parse",
	} {
		c := classify(t, sql)
		if err := c.Err(); err == nil || !strings.Contains(err.Error(), want) || c.Phase != unknownP {
			t.Errorf("%s\ngot %s %v\nwant %s", sql, c.Phase, err, want)
		}
	}
	c := classify(t, "SELECT 1;\nSELECT 'ü', selec 2;")
	if f := c.Findings[0]; f.Line != 5 || f.Column != 19 {
		t.Errorf("at %d:%d, want 5:19", f.Line, f.Column)
	}
}

func TestTooDeep(t *testing.T) {
	tests := []struct {
		name, sql string
		want      bool
	}{
		{"many rows", "INSERT INTO t VALUES (1)" + strings.Repeat(", (1, 'x', now())", 50000), false},
		{"a long text", "SELECT '" + strings.Repeat("a + (b ", 50000) + "'", false},
		{"a long text with backslashes", "SELECT E'" + strings.Repeat(`a'' \' ( + `, 50000) + "'", false},
		{"a long body", "CREATE FUNCTION f() AS $x$" + strings.Repeat("$$ ( + '", 50000) + "$x$", false},
		{"a long comment", "SELECT 1 /*" + strings.Repeat("( /* ' */", 20000) + "*/ -- (((((", false},
		{"a long name", `SELECT "` + strings.Repeat("(", 5000) + `"`, false},
		{"a long sum", "SELECT 1" + strings.Repeat("+1", 3000), true},
		{"a long sum of calls", "SELECT 1" + strings.Repeat("+f(1,2)", 3000), true},
		{"many parentheses", "SELECT " + strings.Repeat("(", 300), true},
		{"many brackets", "SELECT " + strings.Repeat("a[1,", 300), true},
		{"sums within sums", strings.Repeat("SELECT (1"+strings.Repeat("+1", 100), 150), true},
		{"a text that only looks open", `SELECT E'\\'` + strings.Repeat("+1", 3000), true},
		{"a doubled quote", `SELECT E'''\'' ` + strings.Repeat("+1", 3000), true},
		{"a doubled quote that stays open", `SELECT E'''\' ` + strings.Repeat("+1", 3000), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tooDeep(tt.sql); (err != nil) != tt.want {
				t.Errorf("got %v, want an error: %v", err, tt.want)
			}
		})
	}
	c := classify(t, "SELECT 1"+strings.Repeat("+1", 3000)+";")
	if err := c.Err(); err == nil || !strings.Contains(err.Error(), "1_t.sql:4: does-not-parse: ") || !strings.Contains(err.Error(), "nests too deep") {
		t.Errorf("got %v", err)
	}
}

// TestDeepButAllowed: what the guard lets through, the parser survives.
func TestDeepButAllowed(t *testing.T) {
	for name, sql := range map[string]string{
		"sum":     "SELECT 1" + strings.Repeat("+1", 740),
		"union":   "SELECT 1" + strings.Repeat(" UNION SELECT 1", 490),
		"casts":   "SELECT 1" + strings.Repeat("::int", 490),
		"not":     "SELECT " + strings.Repeat("NOT ", 1490) + "true",
		"case":    "SELECT " + strings.Repeat("CASE WHEN true THEN ", 290) + "1" + strings.Repeat(" END", 290),
		"selects": "SELECT " + strings.Repeat("(SELECT ", 190) + "1" + strings.Repeat(")", 190),
		"blocks":  "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ " + strings.Repeat("BEGIN ", 12) + "RETURN 1;" + strings.Repeat(" END;", 12) + " $$",
		"if":      "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN " + strings.Repeat("IF true THEN x := 1; ", 11) + strings.Repeat(" END IF;", 11) + " END $$",
		"deeper":  "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ " + strings.Repeat("BEGIN ", 700) + "RETURN 1;" + strings.Repeat(" END;", 700) + " $$",
		"long":    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " + strings.Repeat("IF NEW.a THEN NEW.b := CASE WHEN NEW.c THEN 1 END; END IF; ", 500) + " END $$",
	} {
		t.Run(name, func(t *testing.T) {
			c := classify(t, sql+";")
			for _, f := range c.Findings {
				if strings.Contains(f.Message, "aborted") || strings.Contains(f.Message, "deep") {
					t.Errorf("%.200s", f)
				}
			}
			if err := intact(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestTooNested(t *testing.T) {
	for text, want := range map[string]bool{
		strings.Repeat("BEGIN ", 12):                                                         false,
		strings.Repeat("BEGIN ", 13):                                                         true,
		strings.Repeat("IF a THEN b; ELSIF c THEN d; END IF; ", 100):                         false,
		strings.Repeat("BEGIN LOOP x; END LOOP; CASE a WHEN b THEN c; END CASE; END; ", 100): false,
		strings.Repeat("x := CASE WHEN a THEN b END; ", 100):                                 false,
		strings.Repeat("BEGIN 'end' \"end\" /* end */ -- end\n", 13):                         true,
		strings.Repeat("END; ", 50) + strings.Repeat("LOOP ", 13):                            true,
	} {
		if got := tooNested(text); got != want {
			t.Errorf("%.60s…: got %v, want %v", text, got, want)
		}
	}
}

// TestBrokenParser: once the parser was aborted, or answers another way than at first, nothing is classified.
func TestBrokenParser(t *testing.T) {
	files := load(t, "SELECT 1;")
	t.Cleanup(func() { parserBroken.Store(false) })
	if _, err := guarded(func() (int, error) { panic("stack overflow") }); !errors.Is(err, ErrParserBroken) {
		t.Errorf("an abort gave %v", err)
	}
	if _, err := Classify(files); !errors.Is(err, ErrParserBroken) {
		t.Errorf("after an abort: %v", err)
	}
	parserBroken.Store(false)
	sound := soundAnswers
	soundAnswers = "something else"
	_, err := Classify(files)
	soundAnswers = sound
	if !errors.Is(err, ErrParserBroken) {
		t.Errorf("with other answers: %v", err)
	}
	parserBroken.Store(false)
	if _, err := Classify(files); err != nil {
		t.Errorf("sound again: %v", err)
	}
}
