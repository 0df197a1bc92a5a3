package compat

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	pgquery "github.com/wasilibs/go-pgquery"
)

// ErrParserBroken says that the parser's memory can not be trusted any more, so that nothing is classified in this
// process. A health check should let the process be replaced.
var ErrParserBroken = errors.New("the SQL parser of this process was damaged by a statement; restart the process")

var (
	// engine keeps it to one virtual machine of the parser, the one that intact looks at.
	engine sync.Mutex
	// parserBroken is set once the parser was aborted or gave a wrong answer.
	parserBroken atomic.Bool
	// soundAnswers are the answers to the probes before anything else was parsed.
	soundAnswers string
	soundOnce    sync.Once
)

// The probes touch the keywords of both languages. The stack of the parser's virtual machine has no guard: a
// statement that nests too deep can overwrite its tables without any error, and then keywords are no longer known.
const (
	probeSQL = `CREATE TABLE a (x bigint PRIMARY KEY, y text NOT NULL DEFAULT 'x' CHECK (y IS DISTINCT FROM 'z'));
ALTER TABLE a ADD CONSTRAINT c FOREIGN KEY (x) REFERENCES b (x) ON DELETE CASCADE NOT VALID;
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON a USING btree (x) INCLUDE (y) WHERE x IS NOT NULL;
DROP VIEW IF EXISTS v CASCADE; TRUNCATE a; GRANT SELECT ON a TO b; ALTER TYPE t ADD VALUE 'v' BEFORE 'w';
WITH r AS (DELETE FROM b WHERE c BETWEEN 1 AND 2 RETURNING *) SELECT CASE WHEN true THEN count(*) END FROM r
GROUP BY 1 HAVING max(d) > 3 ORDER BY 2 LIMIT 1 FOR UPDATE`
	probePLpgSQL = `CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE x int; BEGIN
IF NEW.a THEN NEW.b := 1; ELSIF x THEN RAISE EXCEPTION 'a'; END IF; FOR x IN SELECT 1 LOOP PERFORM f(); END LOOP;
EXECUTE 'a'; RETURN NEW; EXCEPTION WHEN others THEN RETURN NULL; END $$`
)

// guarded calls the parser, one call at a time, and turns an abort of its virtual machine into an error.
func guarded[T any](call func() (T, error)) (result T, err error) {
	engine.Lock()
	defer engine.Unlock()
	soundOnce.Do(func() { soundAnswers, _ = answers() })
	if parserBroken.Load() {
		return result, ErrParserBroken
	}
	defer func() {
		if r := recover(); r != nil {
			parserBroken.Store(true)
			err = fmt.Errorf("%w: %v", ErrParserBroken, r)
		}
	}()
	return call()
}

// Healthy is ErrParserBroken once the parser of this process was damaged, else nil; for health checks.
func Healthy() error {
	if parserBroken.Load() {
		return ErrParserBroken
	}
	return nil
}

// intact asks the probes again. Without it a damaged parser would go on and misjudge.
func intact() error {
	got, err := guarded(answers)
	if err == nil && got == soundAnswers {
		return nil
	}
	parserBroken.Store(true)
	return ErrParserBroken
}

func answers() (string, error) {
	sql, err := pgquery.ParseToJSON(probeSQL)
	if err != nil {
		return "", err
	}
	body, err := pgquery.ParsePlPgSqlToJSON(probePLpgSQL)
	return sql + body, err
}
