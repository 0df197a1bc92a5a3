package schema

import (
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
)

const up = "-- +goose Up\n"

func TestLoad(t *testing.T) {
	block := "-- +goose StatementBegin\n"
	tests := []struct {
		name     string
		files    map[string]string
		wantErr  string
		wantUp   []Statement
		wantDown []Statement
		want     func(File) bool
	}{
		{name: "one statement", files: map[string]string{"00001_a.sql": up + "\nSELECT 1;\n"},
			wantUp: []Statement{{"SELECT 1;", 3}}},
		{name: "comments before a statement go, within it stay",
			files:  map[string]string{"1_a.sql": up + "-- why\nSELECT\n-- one\n1;\n"},
			wantUp: []Statement{{"SELECT\n-- one\n1;", 3}}},
		{name: "a line of blanks does not move the first line",
			files: map[string]string{"1_a.sql": up + "  \n\t\n  SELECT 1;\n"}, wantUp: []Statement{{"SELECT 1;", 4}}},
		{name: "two on one line are one for goose",
			files: map[string]string{"1_a.sql": up + "SELECT 1; SELECT 2;\n"}, wantUp: []Statement{{"SELECT 1; SELECT 2;", 2}}},
		{name: "a semicolon before a comment ends",
			files: map[string]string{"1_a.sql": up + "SELECT 1; -- done\nSELECT 2;"}, wantUp: []Statement{{"SELECT 1; -- done", 2}, {"SELECT 2;", 3}}},
		{name: "a block keeps its semicolons",
			files:  map[string]string{"1_a.sql": up + block + "CREATE x;\nBEGIN;\n-- +goose StatementEnd\nSELECT 1;\n"},
			wantUp: []Statement{{"CREATE x;\nBEGIN;", 3}, {"SELECT 1;", 6}}},
		{name: "down", files: map[string]string{"1_a.sql": up + "SELECT 1;\n-- +goose Down\nSELECT\n2;\n"},
			wantUp: []Statement{{"SELECT 1;", 2}}, wantDown: []Statement{{"SELECT\n2;", 4}}},
		{name: "carriage returns", files: map[string]string{"1_a.sql": "-- +goose Up\r\nSELECT\r\n1;\r\n"},
			wantUp: []Statement{{"SELECT\n1;", 2}}},
		{name: "no transaction, in any case of letters", files: map[string]string{"1_a.sql": "-- +goose no transaction\n" + up + "SELECT 1;"},
			wantUp: []Statement{{"SELECT 1;", 3}}, want: func(f File) bool { return f.NoTransaction }},
		{name: "phase", files: map[string]string{"1_a.sql": "-- +interlock phase contract\n" + up + "SELECT 1;"},
			wantUp: []Statement{{"SELECT 1;", 3}}, want: func(f File) bool { return f.DeclaredPhase == PhaseContract }},
		{name: "assume", files: map[string]string{"1_a.sql": up + "-- +interlock assume expand reason=\"no \\\"reader\\\" yet\"\nSELECT 1;"},
			wantUp: []Statement{{"SELECT 1;", 3}},
			want:   func(f File) bool { return f.AssumePhase == PhaseExpand && f.AssumeReason == `no "reader" yet` }},
		{name: "since", files: map[string]string{"14_a.sql": up + "-- +interlock since 12\nSELECT 1;"},
			wantUp: []Statement{{"SELECT 1;", 3}}, want: func(f File) bool { return f.Since == 12 && f.NeedsReaders() == 12 }},
		{name: "a comment may mention a directive", files: map[string]string{"1_a.sql": up + "-- see +interlock phase\nSELECT 1;"},
			wantUp: []Statement{{"SELECT 1;", 3}}, want: func(f File) bool { return f.NeedsReaders() == 1 }},
		{name: "other files are left alone", files: map[string]string{"1_a.sql": up + "SELECT 1;", "README.md": "x", "x_test.go": "x", "helpers.go": "x"},
			wantUp: []Statement{{"SELECT 1;", 2}}},

		{name: "no annotation", files: map[string]string{"1_a.sql": ""}, wantErr: "1_a.sql:1: there is no '-- +goose Up'; put it"},
		{name: "statement before Up", files: map[string]string{"1_a.sql": "\nSELECT 1;\n" + up}, wantErr: "1_a.sql:2: a statement stands before '-- +goose Up'"},
		{name: "two Ups", files: map[string]string{"1_a.sql": up + up}, wantErr: "1_a.sql:2: there is a second '-- +goose Up'"},
		{name: "Down first", files: map[string]string{"1_a.sql": "-- +goose Down\n"}, wantErr: "1_a.sql:1: '-- +goose Down' stands before"},
		{name: "two Downs", files: map[string]string{"1_a.sql": up + "-- +goose Down\n-- +goose Down\n"}, wantErr: "1_a.sql:3: there is a second"},
		{name: "Down in a block", files: map[string]string{"1_a.sql": up + block + "-- +goose Down\n"}, wantErr: "1_a.sql:3: '-- +goose Down' stands inside"},
		{name: "block before Up", files: map[string]string{"1_a.sql": block}, wantErr: "1_a.sql:1: StatementBegin stands before"},
		{name: "block in a block", files: map[string]string{"1_a.sql": up + block + block}, wantErr: "1_a.sql:3: StatementBegin stands inside"},
		{name: "block in a statement", files: map[string]string{"1_a.sql": up + "SELECT\n" + block}, wantErr: "1_a.sql:2: the statement is not finished at StatementBegin"},
		{name: "end without a beginning", files: map[string]string{"1_a.sql": up + "-- +goose StatementEnd\n"}, wantErr: "1_a.sql:2: StatementEnd has no beginning"},
		{name: "block without an end", files: map[string]string{"1_a.sql": up + block + "SELECT 1;\n"}, wantErr: "1_a.sql:2: StatementBegin has no end"},
		{name: "empty block", files: map[string]string{"1_a.sql": up + block + "-- +goose StatementEnd\nSELECT 1;\n"}, wantErr: "1_a.sql:3: there is no statement between"},
		{name: "no semicolon", files: map[string]string{"1_a.sql": up + "\nSELECT 1\n"}, wantErr: "1_a.sql:3: the statement is not finished at the end of the file; end its last line"},
		{name: "no semicolon before Down", files: map[string]string{"1_a.sql": up + "SELECT 1\n-- +goose Down\n"}, wantErr: "1_a.sql:2: the statement is not finished at '-- +goose Down'"},
		{name: "unknown annotation", files: map[string]string{"1_a.sql": "-- +goose Upp\n"}, wantErr: `1_a.sql:1: "Upp" is no annotation of goose; use Up`},
		{name: "indented annotation", files: map[string]string{"1_a.sql": " -- +goose Up\n"}, wantErr: "1_a.sql:1: the annotation is indented"},
		{name: "envsub", files: map[string]string{"1_a.sql": up + "-- +goose ENVSUB ON\n"}, wantErr: "1_a.sql:2: ENVSUB makes a migration depend"},
		{name: "unknown directive", files: map[string]string{"1_a.sql": "-- +interlock faze contract\n" + up}, wantErr: `1_a.sql:1: "faze contract" is no directive of Interlock; use 'phase contract'`},
		{name: "directive glued", files: map[string]string{"1_a.sql": "-- +interlock-phase contract\n" + up}, wantErr: `1_a.sql:1: "-phase contract" is no directive`},
		{name: "directive too low", files: map[string]string{"1_a.sql": up + "SELECT 1;\n-- +interlock phase contract\n"}, wantErr: "1_a.sql:3: the directive stands below the first statement; move it"},
		{name: "laxer phase", files: map[string]string{"1_a.sql": "-- +interlock phase expand\n" + up}, wantErr: "1_a.sql:1: 'phase' makes a file stricter"},
		{name: "assume without a reason", files: map[string]string{"1_a.sql": "-- +interlock assume expand\n" + up}, wantErr: "1_a.sql:1: an assumption needs a reason"},
		{name: "assume with a blank reason", files: map[string]string{"1_a.sql": "-- +interlock assume expand reason=\" \"\n" + up}, wantErr: "1_a.sql:1: an assumption needs a reason"},
		{name: "assume a wrong phase", files: map[string]string{"1_a.sql": "-- +interlock assume mixed reason=\"x\"\n" + up}, wantErr: `1_a.sql:1: "mixed" is no phase that can be assumed`},
		{name: "assume and phase", files: map[string]string{"1_a.sql": "-- +interlock assume expand reason=\"x\"\n-- +interlock phase contract\n" + up}, wantErr: "1_a.sql:2: 'phase' and 'assume' contradict"},
		{name: "since in the future", files: map[string]string{"1_a.sql": "-- +interlock since 2\n" + up}, wantErr: "1_a.sql:1: 'since 2' is newer than this file"},
		{name: "since nothing", files: map[string]string{"1_a.sql": "-- +interlock since\n" + up}, wantErr: `1_a.sql:1: "" is no version`},

		{name: "same version twice", files: map[string]string{"1_a.sql": up, "01_b.sql": up}, wantErr: "1_a.sql: has version 1, and so has 01_b.sql; give one"},
		{name: "version 0", files: map[string]string{"0_a.sql": up}, wantErr: "0_a.sql: version 0 stands for"},
		{name: "no version", files: map[string]string{"a.sql": up}, wantErr: "a.sql: has no version; name it <version>_<name>.sql"},
		{name: "no number", files: map[string]string{"v1_a.sql": up}, wantErr: `v1_a.sql: "v1" is not a version`},
		{name: "signed number", files: map[string]string{"+1_a.sql": up}, wantErr: `+1_a.sql: "+1" is not a version`},
		{name: "huge number", files: map[string]string{"9223372036854775808_a.sql": up}, wantErr: "the version is too large"},
		{name: "a path", files: map[string]string{"../1_a.sql": up}, wantErr: "is not the base name of a file"},
		{name: "Go migration", files: map[string]string{"1_a.go": "package x"}, wantErr: "1_a.go: is a Go migration"},
		{name: "NUL", files: map[string]string{"1_a.sql": up + "SELECT 1;\x00DROP TABLE a;"}, wantErr: "1_a.sql:2: holds a NUL byte"},
		{name: "not UTF-8", files: map[string]string{"1_a.sql": up + "SELECT '\xff';"}, wantErr: "1_a.sql:2: is not UTF-8"},
		{name: "byte order mark", files: map[string]string{"1_a.sql": "\ufeff" + up}, wantErr: "1_a.sql:1: begins with a byte order mark"},
		{name: "too large", files: map[string]string{"1_a.sql": strings.Repeat("-", MaxFileBytes+1)}, wantErr: "1_a.sql: is larger than 1048576 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files, err := Load(tt.files)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("error %v, want it to contain %q", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(files) != 1 || !reflect.DeepEqual(files[0].Up, tt.wantUp) || !reflect.DeepEqual(files[0].Down, tt.wantDown) {
				t.Fatalf("got %+v, want up %+v, down %+v", files, tt.wantUp, tt.wantDown)
			}
			if tt.want != nil && !tt.want(files[0]) {
				t.Errorf("the directives are wrong: %+v", files[0])
			}
		})
	}
}

func TestLoadFS(t *testing.T) {
	fsys := fstest.MapFS{
		"db/10_b.sql":    {Data: []byte(up + "SELECT 2;")},
		"db/9_a.sql":     {Data: []byte(up + "SELECT 1;")},
		"db/sub/8_c.sql": {Data: []byte("broken")},
		"big/1_a.sql":    {Data: []byte(strings.Repeat("-", MaxFileBytes+1))},
		"many/readme":    {},
	}
	for i := range 17 {
		fsys["sum/"+strings.Repeat("1", i+1)+"_a.sql"] = &fstest.MapFile{Data: []byte(up + strings.Repeat("-", MaxFileBytes-20))}
	}
	files, err := LoadFS(fsys, "db")
	if err != nil || len(files) != 2 || files[0].Version != 9 || files[1].Version != 10 {
		t.Fatalf("got %+v, %v; want versions 9 and 10 in order", files, err)
	}
	for dir, wantErr := range map[string]string{
		"none": "none: the folder of migrations can not be read",
		"big":  "1_a.sql: is larger than",
		"sum":  "larger than 16777216 bytes together",
	} {
		if _, err := LoadFS(fsys, dir); err == nil || !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%s: error %v, want %q", dir, err, wantErr)
		}
	}
	names := map[string]string{}
	for i := range MaxFiles + 1 {
		names[strings.Repeat("0", i%8)+string(rune('1'+i%9))+"_"+strings.Repeat("x", i)+".sql"] = up
	}
	if _, err := Load(names); err == nil || !strings.Contains(err.Error(), "are more than 4096") {
		t.Errorf("too many files: error %v", err)
	}
}

func TestDigest(t *testing.T) {
	a, b := File{Name: "1_a.sql", Checksum: "aa"}, File{Name: "2_b.sql", Checksum: "bb"}
	if Digest([]File{a, b}) != Digest([]File{b, a}) {
		t.Error("the order must not matter")
	}
	other := b
	other.Checksum = "cc"
	renamed := b
	renamed.Name = "2_c.sql"
	for _, files := range [][]File{{a}, {a, other}, {a, renamed}, nil} {
		if Digest(files) == Digest([]File{a, b}) {
			t.Errorf("%+v has the digest of other files", files)
		}
	}
}

func TestPrefix(t *testing.T) {
	tests := []struct {
		name        string
		tree, known []int64
		want        int64
	}{
		{"nothing", nil, nil, 0},
		{"whole", []int64{1, 2, 3}, []int64{1, 2, 3}, 3},
		{"ahead of what is known", []int64{1, 2, 3}, []int64{1}, 3},
		{"a branch that has 302 but not 301", []int64{302, 300}, []int64{300, 301, 302}, 300},
		{"the first is missing", []int64{2}, []int64{1, 2}, 0},
		{"numbers may leave holes that nobody knows", []int64{10, 20}, []int64{10, 20}, 20},
		{"only others are known", nil, []int64{5}, 0},
		{"older than all gaps", []int64{1}, []int64{1, 9}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Prefix(tt.tree, tt.known); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
