package schema

import (
	"fmt"
	"strconv"
	"strings"
)

const directiveMark = "+interlock"

const directiveHelp = "use 'phase contract', 'phase backfill', 'assume expand reason=\"…\"' or 'since <version>'"

// maxReason bounds what one file adds to a receipt.
const maxReason = 500

// directive takes one "-- +interlock …" line. It speaks for the whole file, so it stands above the first statement:
// there nobody overlooks it.
func (p *parser) directive(trimmed string) error {
	text := strings.TrimSpace(strings.TrimLeft(trimmed, "-"))
	if !strings.HasPrefix(text, directiveMark) {
		// A comment that merely mentions it.
		return nil
	}
	if p.section == inDown || p.block || len(p.file.Up) > 0 || strings.TrimSpace(p.buf.String()) != "" {
		return &lineError{p.line, "the directive stands below the first statement", "move it to the top of the file"}
	}
	text = strings.TrimPrefix(text, directiveMark)
	word, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	if text != "" && text[0] != ' ' && text[0] != '\t' {
		word = ""
	}
	rest = strings.TrimSpace(rest)
	switch word {
	case "phase":
		return p.phase(rest)
	case "assume":
		return p.assume(rest)
	case "since":
		return p.since(rest)
	}
	return &lineError{p.line, fmt.Sprintf("%q is no directive of Interlock", strings.TrimSpace(text)), directiveHelp}
}

func (p *parser) phase(arg string) error {
	switch {
	case p.file.DeclaredPhase != "":
		return &lineError{p.line, "there is a second 'phase'", "keep one"}
	case p.file.AssumePhase != "":
		return &lineError{p.line, "'phase' and 'assume' contradict each other", "keep one"}
	}
	switch Phase(arg) {
	case PhaseContract, PhaseBackfill:
		p.file.DeclaredPhase = Phase(arg)
		return nil
	}
	return &lineError{p.line, fmt.Sprintf("'phase' makes a file stricter, and %q is not stricter than anything", arg),
		"use 'phase contract' or 'phase backfill'; for a laxer phase use 'assume expand reason=\"…\"'"}
}

func (p *parser) assume(arg string) error {
	switch {
	case p.file.AssumePhase != "":
		return &lineError{p.line, "there is a second 'assume'", "keep one"}
	case p.file.DeclaredPhase != "":
		return &lineError{p.line, "'phase' and 'assume' contradict each other", "keep one"}
	}
	word, rest, _ := strings.Cut(arg, " ")
	phase := Phase(word)
	switch phase {
	case PhaseExpand, PhaseBackfill, PhaseContract:
	default:
		return &lineError{p.line, fmt.Sprintf("%q is no phase that can be assumed", word), "use expand, backfill or contract"}
	}
	reason, err := strconv.Unquote(strings.TrimPrefix(strings.TrimSpace(rest), "reason="))
	reason = strings.TrimSpace(reason)
	if err != nil || reason == "" || !strings.HasPrefix(strings.TrimSpace(rest), `reason="`) {
		return &lineError{p.line, "an assumption needs a reason, which goes into the receipt",
			fmt.Sprintf("write assume %s reason=\"why it is safe\"", word)}
	}
	if len(reason) > maxReason {
		return &lineError{p.line, fmt.Sprintf("the reason is longer than %d bytes", maxReason), "shorten it"}
	}
	p.file.AssumePhase, p.file.AssumeReason = phase, reason
	return nil
}

func (p *parser) since(arg string) error {
	if p.file.Since != 0 {
		return &lineError{p.line, "there is a second 'since'", "keep one"}
	}
	v, err := strconv.ParseInt(arg, 10, 64)
	if err != nil || v < 1 {
		return &lineError{p.line, fmt.Sprintf("%q is no version", arg), "write since <version>, for example 'since 12'"}
	}
	if v > p.file.Version {
		return &lineError{p.line, fmt.Sprintf("'since %d' is newer than this file", v),
			fmt.Sprintf("name the version of the code that made this step possible, at most %d", p.file.Version)}
	}
	p.file.Since = v
	return nil
}
