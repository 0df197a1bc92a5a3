package harness

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// refusalLimit is how long a bundle may take to refuse a commit, and to be done with one that changes nothing.
const refusalLimit = 2 * time.Minute

// RollBack is a usual way to go back to version 1.
type RollBack struct {
	// How, in a few words.
	How string
	// NamesRevision: the refusal says to which revision one can still go. A refusal of an image that contradicts
	// its stamp knows of no revision.
	NamesRevision bool
	// Try does it, expects that it is refused, returns what was said, and leaves everything as it was.
	Try func(context.Context, *Shop) (said string, err error)
}

// RollBacks are the usual ways back to version 1, each of which is refused after the contract step.
func (e *Env) RollBacks() []RollBack {
	return []RollBack{
		{"git revert", true, gitRevert},
		{"only the image's tag set back, in Git", true, tagSetBack},
		{"only the image's tag set back, by kubectl set image", false,
			kubectlRefused("set", "image", "deployment/shop", "shop="+e.Cluster.ImageRef("shop", "1"))},
		{"kubectl rollout undo", true, kubectlRefused("rollout", "undo", "deployment/shop")},
	}
}

// gitRevert takes the last commit back in Git.
func gitRevert(ctx context.Context, s *Shop) (string, error) {
	bad, err := s.Repo.Revert(ctx, "HEAD")
	if err != nil {
		return "", err
	}
	return refusedThenGood(ctx, s, bad)
}

// tagSetBack changes nothing but the tag in Git.
func tagSetBack(ctx context.Context, s *Shop) (string, error) {
	bad, err := s.PushTag(ctx, "2", "1")
	if err != nil {
		return "", err
	}
	return refusedThenGood(ctx, s, bad)
}

// PushTag changes nothing but the image's tag in Git.
func (s *Shop) PushTag(ctx context.Context, from, to string) (string, error) {
	const file = "deploy/kustomization.yaml"
	text, err := s.Repo.Read(file)
	if err != nil {
		return "", err
	}
	return s.Repo.Change(ctx, "Image "+to, func(t Tree) {
		t[file] = strings.Replace(text, fmt.Sprintf("newTag: %q", from), fmt.Sprintf("newTag: %q", to), 1)
	})
}

// refusedThenGood waits until a commit is refused, and takes it back.
func refusedThenGood(ctx context.Context, s *Shop, bad string) (string, error) {
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
func kubectlRefused(args ...string) func(context.Context, *Shop) (string, error) {
	return func(ctx context.Context, s *Shop) (string, error) {
		said, err := s.RunKubectl(ctx, args...)
		if err == nil {
			return "", fmt.Errorf("kubectl %s was not refused: %s", strings.Join(args, " "), said)
		}
		return said, nil
	}
}

// RunKubectl runs the cluster's kubectl in the shop's namespace and returns what it printed.
func (s *Shop) RunKubectl(ctx context.Context, args ...string) (string, error) {
	args = append([]string{"--kubeconfig", s.Cluster.KubeconfigPath(), "-n", s.Namespace}, args...)
	out, err := exec.CommandContext(ctx, s.Kubectl(), args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}
