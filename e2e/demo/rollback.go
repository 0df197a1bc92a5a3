package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/interlock-dev/interlock/e2e/internal/harness"
)

// rollBacks tries to go back behind the contract step, in every usual way, while the load goes on.
func (d *demo) rollBacks(ctx context.Context, s *harness.Shop) error {
	d.step(8, "going back behind the contract step is refused, and the shop stays up")
	l, err := s.StartLoad(ctx, d.rate)
	if err != nil {
		return err
	}
	defer l.Stop()
	b, err := s.Bundle(ctx)
	if err != nil {
		return err
	}
	_, works, _ := strings.Cut(b.Status.LastAppliedRevision, "sha1:")
	named := works != ""
	for _, back := range s.RollBacks() {
		said, err := back.Try(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", back.How, err)
		}
		d.screen.say("  %s\n    refused: %s", back.How, cut(said, 4*width))
		named = named && (strings.Contains(said, works) || !back.NamesRevision)
	}
	if err := sleep(ctx, calm); err != nil {
		return err
	}
	r := l.Stop()
	v, err := s.Verify(ctx, l)
	if err != nil {
		return err
	}
	d.screen.say("  meanwhile: %s; %d rows compared, %d lost or wrong", countWords(r), v.Rows, v.Bad())
	if !named {
		d.screen.say("  a refusal did not name the revision that still works, %s", works)
	}
	d.report.RollbackRefused = named && r.Failed == 0 && r.Requests > 0
	d.report.Guarded.LostRows = max(d.report.Guarded.LostRows, v.Bad())
	return nil
}
