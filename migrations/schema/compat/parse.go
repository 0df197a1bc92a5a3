package compat

import (
	"errors"
	"strings"
	"unicode/utf8"

	pg "github.com/pganalyze/pg_query_go/v6"
	pgquery "github.com/wasilibs/go-pgquery"
	pgparser "github.com/wasilibs/go-pgquery/parser"

	"github.com/interlock-dev/interlock/migrations/schema"
)

// sqlStatement is one statement of a text that goose sends.
type sqlStatement struct {
	schema.Statement
	column int
	node   *pg.Node
}

// parseError is where and why a text does not parse.
type parseError struct {
	line, column int
	message      string
}

func (e *parseError) Error() string { return e.message }

// parse cuts a text that goose sends as one into its statements.
func parse(s schema.Statement) ([]sqlStatement, error) {
	if err := tooDeep(s.SQL); err != nil {
		return nil, &parseError{line: s.Line, message: err.Error()}
	}
	tree, err := guarded(func() (*pg.ParseResult, error) { return pgquery.Parse(s.SQL) })
	if errors.Is(err, ErrParserBroken) {
		return nil, err
	}
	if err != nil {
		return nil, locate(s, err)
	}
	list := make([]sqlStatement, 0, len(tree.Stmts))
	for _, raw := range tree.Stmts {
		start := min(max(int(raw.StmtLocation), 0), len(s.SQL))
		end := len(s.SQL)
		if raw.StmtLen > 0 {
			end = min(start+int(raw.StmtLen), end)
		}
		start += leading(s.SQL[start:end])
		line, column := position(s, start)
		list = append(list, sqlStatement{Statement: schema.Statement{SQL: s.SQL[start:end], Line: line}, column: column, node: raw.Stmt})
	}
	return list, nil
}

// locate turns the parser's complaint into a line and a column.
func locate(s schema.Statement, err error) error {
	var at *pgparser.Error
	if !errors.As(err, &at) || at.Cursorpos <= 0 {
		return &parseError{line: s.Line, message: err.Error()}
	}
	offset := 0
	for n := 1; n < at.Cursorpos && offset < len(s.SQL); n++ {
		_, size := utf8.DecodeRuneInString(s.SQL[offset:])
		offset += size
	}
	line, column := position(s, offset)
	return &parseError{line: line, column: column, message: at.Message}
}

// position is the line of the file and the column of that line, both from 1, of a byte of the statement.
func position(s schema.Statement, offset int) (line, column int) {
	before := s.SQL[:offset]
	return s.Line + strings.Count(before, "\n"), utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
}

// leading is the length of the blanks and comments that a text begins with.
func leading(text string) int {
	rest := text
	for {
		rest = strings.TrimLeft(rest, " \t\r\n\f\v")
		switch {
		case strings.HasPrefix(rest, "--"):
			rest = rest[skipLine(rest):]
		case strings.HasPrefix(rest, "/*"):
			rest = rest[skipComment(rest):]
		default:
			return len(text) - len(rest)
		}
	}
}
