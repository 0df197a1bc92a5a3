//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/interlock-dev/interlock/e2e/cluster/internal/serve"
)

// BasicAuth is what a Git repository asks for.
type BasicAuth struct{ User, Password string }

// GitURL is a repository's address over HTTPS, the same on the host and in pods.
// Images from PushBinary trust its certificate; CACert is for everyone else.
func (c *Cluster) GitURL(repo string) string {
	return fmt.Sprintf("https://%s:%d/%s.git", HostIP, gitTLSPort, repo)
}

// GitHTTPURL is the same without TLS.
func (c *Cluster) GitHTTPURL(repo string) string {
	return fmt.Sprintf("http://%s:%d/%s.git", HostIP, gitPort, repo)
}

// GitDir is the bare repository on the host: the shortest way to push to it, with
// or without credentials.
func (c *Cluster) GitDir(repo string) string {
	return filepath.Join(c.l.gitDir(), repo+".git")
}

// CreateRepo makes an empty repository whose default branch is main. With auth,
// reading and pushing over the network ask for these credentials; nil means none.
// On a repository that exists it changes only the credentials.
func (c *Cluster) CreateRepo(ctx context.Context, repo string, auth *BasicAuth) error {
	if !serve.RepoName.MatchString(repo) {
		return fmt.Errorf("repository name %q: it must match %s", repo, serve.RepoName)
	}
	authFile := filepath.Join(c.l.gitDir(), repo+".auth")
	if auth == nil {
		if err := os.Remove(authFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	} else {
		if strings.ContainsAny(auth.User+auth.Password, "\n") || strings.Contains(auth.User, ":") {
			return errors.New("credentials of a repository cannot hold line breaks, nor the user a colon")
		}
		if err := writeFile(authFile, []byte(auth.User+"\n"+auth.Password+"\n"), 0o600); err != nil {
			return err
		}
	}
	if _, err := os.Stat(c.GitDir(repo)); err == nil {
		return nil
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--bare", "--initial-branch=main", c.GitDir(repo)},
		{"-C", c.GitDir(repo), "config", "http.receivepack", "true"},
		{"-C", c.GitDir(repo), "config", "uploadpack.allowAnySHA1InWant", "true"},
	} {
		if b, err := exec.CommandContext(ctx, "git", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, b)
		}
	}
	return nil
}

// RemoveRepo removes a repository; reading it answers 404 from then on.
func (c *Cluster) RemoveRepo(repo string) error {
	if !serve.RepoName.MatchString(repo) {
		return fmt.Errorf("repository name %q: it must match %s", repo, serve.RepoName)
	}
	_ = os.Remove(filepath.Join(c.l.gitDir(), repo+".auth")) // there may be none
	return os.RemoveAll(c.GitDir(repo))
}
