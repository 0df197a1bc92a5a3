package cluster

import (
	"bufio"
	"fmt"
	"io"
	"sync"
	"time"
)

// progress writes lines for people, from any goroutine.
type progress struct {
	mu  sync.Mutex
	out io.Writer
}

func newProgress(out io.Writer) *progress {
	if out == nil {
		out = io.Discard
	}
	return &progress{out: out}
}

func (p *progress) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "cluster: "+format+"\n", args...) //nolint:errcheck // nobody to tell
}

// every calls f again and again until stop, which waits for a call under way.
func (p *progress) every(d time.Duration, f func()) (stop func()) {
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(d)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				f()
			case <-end:
				return
			}
		}
	}()
	return func() { close(end); <-done }
}

// lines says every line that is written to it.
func (p *progress) lines() io.WriteCloser {
	r, w := io.Pipe()
	go func() {
		sc := bufio.NewScanner(r)
		for sc.Scan() {
			p.say("%s", sc.Text())
		}
		_, _ = io.Copy(io.Discard, r) // after a line that is too long
	}()
	return w
}
