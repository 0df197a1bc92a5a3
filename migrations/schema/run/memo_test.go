package run

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"

	pg "github.com/pganalyze/pg_query_go/v6"
	pgquery "github.com/wasilibs/go-pgquery"
	"google.golang.org/protobuf/proto"
)

// memo is what the parser has said in this process, so that child processes need not start one of their own. What is
// not in it they ask the real parser.
var memo = struct {
	sync.Mutex
	// Trees by SQL, and SQL by tree.
	Trees map[string][]byte
	SQL   map[string]string
}{Trees: map[string][]byte{}, SQL: map[string]string{}}

func init() { parse, deparse = memoParse, memoDeparse }

func memoParse(sql string) (*pg.ParseResult, error) {
	memo.Lock()
	defer memo.Unlock()
	if bytes, ok := memo.Trees[sql]; ok {
		tree := &pg.ParseResult{}
		return tree, proto.Unmarshal(bytes, tree)
	}
	tree, err := pgquery.Parse(sql)
	if err == nil {
		memo.Trees[sql], err = proto.Marshal(tree)
	}
	return tree, err
}

func memoDeparse(tree *pg.ParseResult) (string, error) {
	key, err := proto.MarshalOptions{Deterministic: true}.Marshal(tree)
	if err != nil {
		return "", err
	}
	memo.Lock()
	defer memo.Unlock()
	if sql, ok := memo.SQL[string(key)]; ok {
		return sql, nil
	}
	sql, err := pgquery.Deparse(tree)
	if err == nil {
		memo.SQL[string(key)] = sql
	}
	return sql, err
}

type savedTrees struct {
	Trees map[string][]byte
	SQL   []savedSQL
}

type savedSQL struct {
	Tree []byte
	SQL  string
}

func saveTrees(t testing.TB) string {
	t.Helper()
	memo.Lock()
	defer memo.Unlock()
	saved := savedTrees{Trees: memo.Trees}
	for tree, sql := range memo.SQL {
		saved.SQL = append(saved.SQL, savedSQL{[]byte(tree), sql})
	}
	text, err := json.Marshal(saved)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "trees.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func useTrees(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var saved savedTrees
	if err := json.Unmarshal(text, &saved); err != nil {
		return err
	}
	memo.Lock()
	defer memo.Unlock()
	memo.Trees = saved.Trees
	for _, s := range saved.SQL {
		memo.SQL[string(s.Tree)] = s.SQL
	}
	return nil
}
