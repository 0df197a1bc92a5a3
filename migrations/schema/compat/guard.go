package compat

import (
	"errors"
	"strings"
)

// The parser's virtual machine overflows its stack at some thousand levels of an expression, at one thousand of
// sub-selects, and at fifty nested blocks of PL/pgSQL. After that it can not be trusted any more.
const (
	// maxDepth bounds the tokens since the last comma, each of which may open one level.
	maxDepth = 1500
	// maxParens bounds open parentheses.
	maxParens = 200
	// maxBlocks bounds nested blocks of PL/pgSQL.
	maxBlocks = 12
)

var errTooDeep = errors.New("the statement nests too deep to be parsed; split the expression")

// tooDeep refuses a text that could overflow the parser: it counts tokens since the last comma or semicolon, in
// every open parenthesis together.
func tooDeep(text string) error {
	counts, sum := []int{0}, 0
	for i := 0; i < len(text); {
		top := len(counts) - 1
		size, word := token(text[i:])
		switch text[i] {
		case '(', '[':
			counts = append(counts, 0)
		case ')', ']':
			if top > 0 {
				sum -= counts[top]
				counts = counts[:top]
			}
		case ',', ';':
			sum -= counts[top]
			counts[top] = 0
		}
		if top = len(counts) - 1; word {
			counts[top]++
			sum++
		}
		if len(counts) > maxParens || sum > maxDepth {
			return errTooDeep
		}
		i += size
	}
	return nil
}

// tooNested says whether a body of PL/pgSQL nests more blocks than its parser can stand. CASE of an expression counts.
func tooNested(text string) bool {
	depth, last := 0, ""
	for i := 0; i < len(text); {
		size, counts := token(text[i:])
		if counts {
			word := strings.ToLower(text[i : i+size])
			switch word {
			case "end":
				depth = max(depth-1, 0)
			case "begin", "if", "loop", "case":
				if last != "end" {
					depth++
				}
			}
			last = word
		}
		if depth > maxBlocks {
			return true
		}
		i += size
	}
	return false
}

// token is the length of what a text begins with, and whether it counts. Strings and comments are one token.
func token(text string) (size int, counts bool) {
	c := text[0]
	switch {
	case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
		return 1, false
	case strings.HasPrefix(text, "--"):
		return skipLine(text), false
	case strings.HasPrefix(text, "/*"):
		return skipComment(text), false
	case c == '\'':
		return skipQuoted(text, '\'', false), true
	case (c == 'e' || c == 'E') && len(text) > 1 && text[1] == '\'':
		return 1 + skipQuoted(text[1:], '\'', true), true
	case c == '"':
		return skipQuoted(text, '"', false), true
	case c == '$':
		if n := skipDollar(text); n > 0 {
			return n, true
		}
	case isWord(c):
		n := 1
		for n < len(text) && (isWord(text[n]) || text[n] == '$') {
			n++
		}
		return n, true
	}
	return 1, true
}

func isWord(c byte) bool {
	return c == '_' || c >= 0x80 || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func skipLine(text string) int {
	if n := strings.IndexAny(text, "\n\r"); n >= 0 {
		return n
	}
	return len(text)
}

// skipComment is the length of a comment, which may hold others.
func skipComment(text string) int {
	depth := 0
	for i := 0; i < len(text); {
		switch {
		case strings.HasPrefix(text[i:], "/*"):
			depth++
			i += 2
		case strings.HasPrefix(text[i:], "*/"):
			depth--
			i += 2
		default:
			i++
		}
		if depth == 0 {
			return i
		}
	}
	return len(text)
}

// skipQuoted is the length of a quoted text; a doubled quote is part of it.
func skipQuoted(text string, quote byte, backslash bool) int {
	for i := 1; i < len(text); i++ {
		switch {
		case backslash && text[i] == '\\':
			i++
		case text[i] == quote && i+1 < len(text) && text[i+1] == quote:
			i++
		case text[i] == quote:
			return i + 1
		}
	}
	return len(text)
}

// skipDollar is the length of a $tag$ … $tag$ text; 0 if there is none.
func skipDollar(text string) int {
	n := 1
	for n < len(text) && isWord(text[n]) {
		n++
	}
	if n >= len(text) || text[n] != '$' || n > 1 && text[1] >= '0' && text[1] <= '9' {
		return 0
	}
	tag := text[:n+1]
	if end := strings.Index(text[n+1:], tag); end >= 0 {
		return n + 1 + end + len(tag)
	}
	return len(text)
}
