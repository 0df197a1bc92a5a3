package schema

import (
	"fmt"
	"strings"
)

// lineError is a complaint about one line; parseFile puts the file's name in front.
type lineError struct {
	line      int
	what, fix string
}

func (e *lineError) Error() string { return fmt.Sprintf("%d: %s; %s", e.line, e.what, e.fix) }

// section is where the parser stands.
type section int

const (
	beforeUp section = iota
	inUp
	inDown
)

// parser cuts one file into statements exactly as goose v3.28 does, line by line: a statement ends at a line that
// ends in a semicolon, or at StatementEnd. Where goose would silently lose text, the parser refuses.
type parser struct {
	file    *File
	section section
	// block is true between StatementBegin and StatementEnd.
	block bool
	// buf is the statement that is being collected; start its first line that is not blank.
	buf   strings.Builder
	start int
	line  int
	// open is the line of the last StatementBegin.
	open int
}

func (p *parser) parse(text string) error {
	lines := strings.Split(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	for i, line := range lines {
		p.line = i + 1
		if err := p.next(strings.TrimSuffix(line, "\r")); err != nil {
			return err
		}
	}
	switch {
	case p.section == beforeUp:
		return &lineError{1, "there is no '-- +goose Up'", "put it on a line of its own before the first statement"}
	case p.block:
		return &lineError{p.open, "StatementBegin has no end", "add '-- +goose StatementEnd' after the statement"}
	}
	return p.finished("the end of the file")
}

// next takes one line.
func (p *parser) next(line string) error {
	trimmed := strings.TrimSpace(line)
	comment := strings.HasPrefix(trimmed, "--")
	if comment && strings.Contains(line, "+goose") {
		return p.annotation(line)
	}
	if comment && strings.Contains(line, directiveMark) {
		if err := p.directive(trimmed); err != nil {
			return err
		}
	}
	if p.buf.Len() == 0 && (comment || line == "") {
		return nil
	}
	if p.section == beforeUp {
		if trimmed == "" {
			return nil
		}
		return &lineError{p.line, "a statement stands before '-- +goose Up'", "put that annotation above it"}
	}
	if p.start == 0 && trimmed != "" {
		p.start = p.line
	}
	p.buf.WriteString(line + "\n")
	if !p.block && endsStatement(line) {
		p.flush()
	}
	return nil
}

// annotation takes one "-- +goose …" line.
func (p *parser) annotation(line string) error {
	if line[0] == ' ' || line[0] == '\t' {
		return &lineError{p.line, "the annotation is indented, which goose refuses", "start it in the first column"}
	}
	word := strings.Replace(strings.ReplaceAll(line, "--", ""), "+goose", "", 1)
	word = strings.TrimSpace(word)
	switch strings.ToLower(word) {
	case "up":
		if p.section != beforeUp {
			return &lineError{p.line, "there is a second '-- +goose Up'", "keep one"}
		}
		p.section = inUp
		return nil
	case "down":
		return p.down()
	case "statementbegin":
		return p.begin()
	case "statementend":
		return p.end()
	case "no transaction":
		p.file.NoTransaction = true
		return nil
	case "envsub on", "envsub off":
		return &lineError{p.line, "ENVSUB makes a migration depend on the environment of whoever runs it", "write the values into the file"}
	}
	return &lineError{p.line, fmt.Sprintf("%q is no annotation of goose", word),
		"use Up, Down, StatementBegin, StatementEnd or NO TRANSACTION"}
}

func (p *parser) down() error {
	switch {
	case p.block:
		return &lineError{p.line, "'-- +goose Down' stands inside a statement", "close the statement with '-- +goose StatementEnd' first"}
	case p.section == beforeUp:
		return &lineError{p.line, "'-- +goose Down' stands before '-- +goose Up'", "put the Up section first"}
	case p.section == inDown:
		return &lineError{p.line, "there is a second '-- +goose Down'", "keep one"}
	}
	if err := p.finished("'-- +goose Down'"); err != nil {
		return err
	}
	p.section = inDown
	return nil
}

func (p *parser) begin() error {
	switch {
	case p.section == beforeUp:
		return &lineError{p.line, "StatementBegin stands before '-- +goose Up'", "put that annotation above it"}
	case p.block:
		return &lineError{p.line, "StatementBegin stands inside another one", "close that with '-- +goose StatementEnd' first"}
	}
	// goose would glue the unfinished statement and the block together.
	if err := p.finished("StatementBegin"); err != nil {
		return err
	}
	p.block, p.open = true, p.line
	return nil
}

func (p *parser) end() error {
	if !p.block {
		return &lineError{p.line, "StatementEnd has no beginning", "put '-- +goose StatementBegin' before the statement"}
	}
	p.block = false
	// goose drops the line that follows an empty block.
	if strings.TrimSpace(p.buf.String()) == "" {
		return &lineError{p.line, "there is no statement between StatementBegin and StatementEnd", "remove both"}
	}
	p.flush()
	return nil
}

// finished refuses a statement that is not at its end when what follows begins.
func (p *parser) finished(what string) error {
	if strings.TrimSpace(p.buf.String()) == "" {
		p.buf.Reset()
		return nil
	}
	return &lineError{p.start, "the statement is not finished at " + what,
		"end its last line with a semicolon, or wrap it in '-- +goose StatementBegin' and '-- +goose StatementEnd'"}
}

// flush stores the collected statement.
func (p *parser) flush() {
	s := Statement{SQL: strings.TrimSpace(p.buf.String()), Line: p.start}
	if p.section == inDown {
		p.file.Down = append(p.file.Down, s)
	} else {
		p.file.Up = append(p.file.Up, s)
	}
	p.buf.Reset()
	p.start = 0
}

// endsStatement says whether the last word before a comment ends in a semicolon. It looks at words only, as goose
// does: a quoted text with a word that begins with two dashes hides what follows it.
func endsStatement(line string) bool {
	last := ""
	for _, word := range strings.Fields(line) {
		if strings.HasPrefix(word, "--") {
			break
		}
		last = word
	}
	return strings.HasSuffix(last, ";")
}
