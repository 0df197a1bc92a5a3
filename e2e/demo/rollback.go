package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/interlock-dev/interlock/e2e/internal/harness"
	"github.com/interlock-dev/interlock/e2e/load"
)

// refusalLimit is how long a bundle may take to refuse a commit.
const refusalLimit = 2 * time.Minute

// rollBacks tries to go back behind the contract step, in every usual way, while the load goes on.
func (d *demo) rollBacks(ctx context.Context, s *harness.Shop, before *load.Load) error {
	d.step(8, "going back behind the contract step is refused, and the shop stays up")
	l, err := s.StartLoad(ctx, d.rate, before)
	if err != nil {
		return err
	}
	defer l.Stop()
	b, err := s.Bundle(ctx)
	if err != nil {
		return err
	}
	_, works, _ := strings.Cut(b.Status.LastAppliedRevision, "sha1:")
	refused := true
	for _, try := range []struct {
		how string
		run func(context.Context, *harness.Shop) (string, error)
	}{
		{"git revert", gitRevert},
		{"only the image's tag set back, in Git", tagSetBack},
		{"only the image's tag set back, with kubectl set image", kubectlRefused("set", "image", "deployment/shop", "shop="+s.Cluster.ImageRef("shop", "1"))},
		{"kubectl rollout undo", kubectlRefused("rollout", "undo", "deployment/shop")},
	} {
		said, err := try.run(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", try.how, err)
		}
		named := strings.Contains(said, works)
		refused = refused && (named || strings.HasPrefix(try.how, "only the image's tag set back, with"))
		d.screen.say("  %s\n    refused: %s", try.how, cut(said, 4*width))
	}
	r := l.Stop()
	v, err := s.Verify(ctx, l)
	if err != nil {
		return err
	}
	d.screen.say("  meanwhile: %s; %d rows compared, %d lost or wrong", countWords(r), v.Rows, v.Bad())
	d.report.RollbackRefused = refused && r.Failed == 0 && r.Requests > 0
	d.report.Guarded.LostRows = max(d.report.Guarded.LostRows, v.Bad())
	return nil
}

// gitRevert takes the commit of the change back in Git, sees that refused, and takes that back.
func gitRevert(ctx context.Context, s *harness.Shop) (string, error) {
	bad, err := s.Repo.Revert(ctx, "HEAD")
	if err != nil {
		return "", err
	}
	return refusedThenGood(ctx, s, bad)
}

// tagSetBack changes nothing but the tag in Git, sees that refused, and takes that back.
func tagSetBack(ctx context.Context, s *harness.Shop) (string, error) {
	const file = "deploy/kustomization.yaml"
	text, err := s.Repo.Read(file)
	if err != nil {
		return "", err
	}
	bad, err := s.Repo.Change(ctx, "Back to image 1", func(t harness.Tree) {
		t[file] = strings.Replace(text, `newTag: "2"`, `newTag: "1"`, 1)
	})
	if err != nil {
		return "", err
	}
	return refusedThenGood(ctx, s, bad)
}

func refusedThenGood(ctx context.Context, s *harness.Shop, bad string) (string, error) {
	if err := s.Reconcile(ctx); err != nil {
		return "", err
	}
	said, err := s.WaitRefused(ctx, bad, refusalLimit)
	if err != nil {
		return "", err
	}
	good, err := s.Repo.Revert(ctx, "HEAD")
	if err != nil {
		return "", err
	}
	if err := s.Reconcile(ctx); err != nil {
		return "", err
	}
	return said, s.WaitDone(ctx, good, refusalLimit)
}

// kubectlRefused runs kubectl, which must fail.
func kubectlRefused(args ...string) func(context.Context, *harness.Shop) (string, error) {
	return func(ctx context.Context, s *harness.Shop) (string, error) {
		args := append([]string{"--kubeconfig", s.Cluster.KubeconfigPath(), "-n", s.Namespace}, args...)
		out, err := exec.CommandContext(ctx, s.Kubectl(), args...).CombinedOutput()
		said := strings.TrimSpace(string(out))
		if err == nil {
			return "", fmt.Errorf("it was not refused: %s", said)
		}
		return said, nil
	}
}
