package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// screen shows lines that stay, and on a terminal below them a table that redraws itself. It is safe for
// concurrent use.
type screen struct {
	mu       sync.Mutex
	out      io.Writer
	terminal bool
	drawn    int // lines of the table that are on the terminal
	lastKey  string
	lastLine time.Time
	partial  string
}

func newScreen(f *os.File) *screen {
	return &screen{out: f, terminal: term.IsTerminal(int(f.Fd()))}
}

// quiet is how long a log waits before it repeats what did not change.
const quiet = 10 * time.Second

// show draws the table anew on a terminal; elsewhere it prints a line when something happened.
func (s *screen) show(v view) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.terminal {
		s.erase()
		lines := v.lines()
		_, _ = fmt.Fprintln(s.out, strings.Join(lines, "\n"))
		s.drawn = len(lines)
		return
	}
	if key := v.key(); key != s.lastKey || time.Since(s.lastLine) > quiet {
		s.lastKey, s.lastLine = key, time.Now()
		_, _ = fmt.Fprintln(s.out, "  "+v.line())
	}
}

// keep leaves the table where it is; what comes next is below it.
func (s *screen) keep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drawn = 0
}

// say prints a line that stays.
func (s *screen) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	_, _ = fmt.Fprintf(s.out, format+"\n", args...)
}

// Write prints whole lines, indented: what others report while they work.
func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.partial += string(b)
	for {
		line, rest, whole := strings.Cut(s.partial, "\n")
		if !whole {
			return len(b), nil
		}
		s.partial = rest
		s.erase()
		if _, err := fmt.Fprintln(s.out, "  "+line); err != nil {
			return 0, err
		}
	}
}

func (s *screen) erase() {
	if s.drawn > 0 {
		_, _ = fmt.Fprintf(s.out, "\x1b[%dA\x1b[J", s.drawn)
		s.drawn = 0
	}
}
