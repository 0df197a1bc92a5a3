package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Repo is a repository on the cluster's Git server, with a working tree.
type Repo struct{ work string }

// newRepo clones an empty bare repository into a directory that must not exist yet.
func newRepo(ctx context.Context, bare, work string) (*Repo, error) {
	if err := os.MkdirAll(filepath.Dir(work), 0o755); err != nil {
		return nil, err
	}
	r := &Repo{work: work}
	if err := os.MkdirAll(work, 0o755); err != nil {
		return nil, err
	}
	for _, args := range [][]string{{"init", "--quiet", "--initial-branch=main"}, {"remote", "add", "origin", bare}} {
		if _, err := r.git(ctx, args...); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Replace makes the tree the only content, commits and pushes. It returns the commit.
func (r *Repo) Replace(ctx context.Context, t Tree, message string) (string, error) {
	if _, err := r.git(ctx, "rm", "-rfq", "--ignore-unmatch", "."); err != nil {
		return "", err
	}
	return r.Change(ctx, message, func(files Tree) {
		for name, text := range t {
			files[name] = text
		}
	})
}

// Change writes what edit puts into an empty tree over the content, commits and pushes. A file whose text is
// empty is deleted.
func (r *Repo) Change(ctx context.Context, message string, edit func(Tree)) (string, error) {
	changed := Tree{}
	edit(changed)
	for name, text := range changed {
		file := filepath.Join(r.work, filepath.FromSlash(name))
		if text == "" {
			if err := os.Remove(file); err != nil {
				return "", err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	if _, err := r.git(ctx, "add", "-A"); err != nil {
		return "", err
	}
	if _, err := r.git(ctx, "commit", "--quiet", "--allow-empty", "-m", message); err != nil {
		return "", err
	}
	return r.push(ctx)
}

// Read returns a file of the working tree.
func (r *Repo) Read(name string) (string, error) {
	b, err := os.ReadFile(filepath.Join(r.work, filepath.FromSlash(name)))
	return string(b), err
}

// Revert is `git revert` of a commit, pushed. It returns the commit that it made.
func (r *Repo) Revert(ctx context.Context, commit string) (string, error) {
	if _, err := r.git(ctx, "revert", "--no-edit", commit); err != nil {
		return "", err
	}
	return r.push(ctx)
}

func (r *Repo) push(ctx context.Context) (string, error) {
	if _, err := r.git(ctx, "push", "--quiet", "origin", "HEAD:main"); err != nil {
		return "", err
	}
	return r.git(ctx, "rev-parse", "HEAD")
}

// git runs with an identity of its own, whatever this machine's configuration says.
func (r *Repo) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = r.work
	cmd.Env = append(os.Environ(),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_COUNT=1",
		"GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*", "GIT_EDITOR=true",
		"GIT_AUTHOR_NAME=shop", "GIT_AUTHOR_EMAIL=shop@example.test",
		"GIT_COMMITTER_NAME=shop", "GIT_COMMITTER_EMAIL=shop@example.test")
	b, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, b)
	}
	return strings.TrimSpace(string(b)), nil
}
