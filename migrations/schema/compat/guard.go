package compat

import (
	"errors"
	"strings"
)

// maxDepth bounds how deep a statement can nest. The parser's virtual machine overflows its stack at some thousand
// levels, and after that it can not be trusted any more. Every token since the last comma may open one level.
const maxDepth = 2500

// maxParens bounds parentheses, whose levels cost more.
const maxParens = 200

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
