package load

import (
	"maps"
	"slices"
	"time"
)

// maxFailures is how many failed requests are kept one by one; all are counted.
const maxFailures = 1000

// Failure is one failed request.
type Failure struct {
	// At is when the request was due.
	At time.Time
	// Op is create, get, update, list or sum.
	Op string
	// Kind: timeout, transport, retried, status 500 (or another one), or wrong answer.
	Kind string
	// Detail in words, at most 300 bytes.
	Detail string
}

// Second is what happened to the requests that were due in one second of the load.
type Second struct{ Requests, Failed int }

// Report is what a load saw.
type Report struct {
	// Requests that were due, and how many of them Failed. A request that is still under way is not in either.
	Requests, Failed int
	// ByKind counts the failed requests by Failure.Kind.
	ByKind map[string]int
	// ByVersion counts answers by the version of the shop that gave them.
	ByVersion map[string]int
	// Failures are the first thousand.
	Failures []Failure
	// Latency from when a request was due until its answer was read, of failed requests too.
	P50, P99, Max time.Duration
	// Seconds of the load, from its start.
	Seconds []Second
	// Started is when the first request was due.
	Started time.Time
}

// Outage is the time between the first and the last failed request; false if there was none.
func (r Report) Outage() (from, to time.Duration, any bool) {
	for i, s := range r.Seconds {
		if s.Failed == 0 {
			continue
		}
		if !any {
			from, any = time.Duration(i)*time.Second, true
		}
		to = time.Duration(i+1) * time.Second
	}
	return from, to, any
}

// stats collects a Report. It is not safe for concurrent use.
type stats struct {
	started   time.Time
	latencies []time.Duration
	failed    int
	byKind    map[string]int
	byVersion map[string]int
	failures  []Failure
	seconds   []Second
}

func newStats(started time.Time) *stats {
	return &stats{started: started, byKind: map[string]int{}, byVersion: map[string]int{}}
}

// add takes in a request that was due at a time and took until done. failure is nil if all was right.
func (s *stats) add(due, done time.Time, version string, failure *Failure) {
	s.latencies = append(s.latencies, done.Sub(due))
	if version != "" {
		s.byVersion[version]++
	}
	second := int(due.Sub(s.started) / time.Second)
	for len(s.seconds) <= second {
		s.seconds = append(s.seconds, Second{})
	}
	s.seconds[second].Requests++
	if failure == nil {
		return
	}
	s.failed++
	s.seconds[second].Failed++
	s.byKind[failure.Kind]++
	if len(s.failures) < maxFailures {
		failure.At = due
		failure.Detail = failure.Detail[:min(len(failure.Detail), 300)]
		s.failures = append(s.failures, *failure)
	}
}

// counts is a Report without latencies, cheap enough to be asked for often.
func (s *stats) counts() Report {
	return Report{
		Requests: len(s.latencies), Failed: s.failed, ByKind: maps.Clone(s.byKind), ByVersion: maps.Clone(s.byVersion),
		Failures: slices.Clone(s.failures), Seconds: slices.Clone(s.seconds), Started: s.started,
	}
}

func (s *stats) report() Report {
	r := s.counts()
	sorted := slices.Sorted(slices.Values(s.latencies))
	r.P50, r.P99, r.Max = quantile(sorted, 0.50), quantile(sorted, 0.99), quantile(sorted, 1)
	return r
}

// quantile of sorted values: the smallest one that at least the share q of all values does not exceed.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(q * float64(len(sorted)))
	if float64(rank) < q*float64(len(sorted)) {
		rank++
	}
	return sorted[max(rank, 1)-1]
}
