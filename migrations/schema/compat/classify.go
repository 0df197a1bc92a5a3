package compat

import (
	"errors"
	"fmt"
	"slices"

	"github.com/interlock-dev/interlock/migrations/schema"
)

// Classify replays the files in version order and says to which phase each belongs. What is wrong with a file is in
// its findings; an error says that the parser as such does not work
// (ErrParserBroken).
func Classify(files []schema.File) ([]Classified, error) {
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b schema.File) int {
		switch {
		case a.Version < b.Version:
			return -1
		case a.Version > b.Version:
			return 1
		}
		return 0
	})
	cat := newCatalog()
	result := make([]Classified, 0, len(files))
	for _, f := range files {
		c, err := classifyFile(cat, f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		result = append(result, c)
	}
	if err := intact(); err != nil {
		return nil, err
	}
	return result, nil
}

func classifyFile(cat *catalog, f schema.File) (Classified, error) {
	c := Classified{File: f}
	scope := &fileScope{File: f}
	for _, text := range f.Up {
		list, err := parse(text)
		if errors.Is(err, ErrParserBroken) {
			return c, err
		}
		var at *parseError
		if errors.As(err, &at) {
			c.Statements = append(c.Statements, unparsed(f, text, at))
			continue
		}
		scope.together = len(list)
		for _, s := range list {
			c.Statements = append(c.Statements, judgeStatement(cat, scope, s))
		}
	}
	for _, v := range c.Statements {
		c.Findings = append(c.Findings, v.Findings...)
	}
	settle(&c)
	wholeFile(&c, scope)
	assume(&c)
	for _, v := range c.Statements {
		c.Touches = append(c.Touches, v.Touches...)
		c.TwoStep = c.TwoStep || v.TwoStep
	}
	slices.Sort(c.Touches)
	c.Touches = slices.Compact(c.Touches)
	return c, nil
}

// unparsed refuses what PostgreSQL's parser refuses; nothing can be assumed about it.
func unparsed(f schema.File, text schema.Statement, at *parseError) Verdict {
	return Verdict{
		Statement: text, Phase: schema.PhaseUnknown, needs: phases{schema.PhaseUnknown: true}, Touches: []string{"*"},
		Findings: []Finding{{Code: "does-not-parse", Severity: SeverityError, File: f.Name, Line: at.line, Column: at.column,
			Message: "PostgreSQL 17 does not parse this: " + at.message, Fix: "correct the statement"}},
	}
}

func judgeStatement(cat *catalog, scope *fileScope, s sqlStatement) Verdict {
	v := Verdict{Statement: s.Statement, needs: phases{}}
	j := &judge{cat: cat, file: scope, v: &v, column: s.column}
	if used := usedEnumValue(scope, s); used != "" {
		j.refuse("enum-value-used-in-transaction", fmt.Sprintf("the enum value %q can not be used in the transaction that adds it", used),
			"move this statement into a later file")
	}
	judged := false
	for _, r := range rules {
		if judged = r.judge(j, s.node); judged {
			break
		}
	}
	if !judged {
		j.unknown("this statement is not known")
	}
	rerun(j, s.node)
	countExclusive(scope, &v)
	return v
}

// countExclusive remembers which live tables a file locks for everybody.
func countExclusive(scope *fileScope, v *Verdict) {
	for _, l := range v.Locks {
		if l.Mode == accessExclusive {
			scope.exclusive = append(scope.exclusive, l.Relation)
		}
	}
}

// wholeFile adds what can only be seen over all statements of a file.
func wholeFile(c *Classified, scope *fileScope) {
	if scope.NoTransaction {
		return
	}
	locked := slices.Clone(scope.exclusive)
	slices.Sort(locked)
	distinct := slices.Compact(slices.Clone(locked))
	line := 1
	if len(c.Statements) > 0 {
		line = c.Statements[0].Statement.Line
	}
	if len(distinct) > 1 {
		c.Findings = append(c.Findings, Finding{Code: "several-tables-locked", Severity: SeverityInfo, File: c.File.Name, Line: line,
			Message: fmt.Sprintf("one transaction locks %d tables against everybody", len(distinct)), Fix: "one file per table holds each lock for a shorter time"})
	}
	if len(locked) > len(distinct) {
		c.Findings = append(c.Findings, Finding{Code: "table-locked-again", Severity: SeverityInfo, File: c.File.Name, Line: line,
			Message: "several statements lock the same table against everybody", Fix: "join them to one ALTER TABLE"})
	}
}
