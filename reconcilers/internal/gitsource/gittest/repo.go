package gittest

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fluxcd/pkg/gittestserver"
	"github.com/go-git/go-billy/v5/memfs"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-billy/v5/util"
	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// Server serves repositories over HTTP.
type Server struct {
	// Requests counts what clients asked for.
	Requests atomic.Int64

	t      *testing.T
	server *gittestserver.GitServer
}

// NewServer starts a server; with a user name it asks for credentials.
func NewServer(t *testing.T, username, password string) *Server {
	t.Helper()
	// The server logs every request there.
	log.SetOutput(io.Discard)
	s := &Server{t: t}
	s.server = gittestserver.NewGitServer(t.TempDir())
	if username != "" {
		s.server.Auth(username, password)
	}
	s.server.AddHTTPMiddlewares(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.Requests.Add(1)
			next.ServeHTTP(w, r)
		})
	})
	if err := s.server.StartHTTP(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.server.StopHTTP)
	return s
}

// URL of a repository.
func (s *Server) URL(name string) string { return s.server.HTTPAddress() + "/" + name }

// Stop stops the server; whoever connects is refused.
func (s *Server) Stop() { s.server.StopHTTP() }

// Repository is a repository on the server.
type Repository struct {
	t        *testing.T
	dir      string
	repo     *gogit.Repository
	worktree *gogit.Worktree
	commits  int
}

// Repository creates an empty repository with the branch main.
func (s *Server) Repository(name string) *Repository {
	s.t.Helper()
	dir := filepath.Join(s.server.Root(), name)
	repo, err := gogit.InitWithOptions(filesystem.NewStorage(osfs.New(dir), cache.NewObjectLRUDefault()), memfs.New(),
		gogit.InitOptions{DefaultBranch: plumbing.Main})
	if err != nil {
		s.t.Fatal(err)
	}
	worktree, err := repo.Worktree()
	if err != nil {
		s.t.Fatal(err)
	}
	return &Repository{t: s.t, dir: dir, repo: repo, worktree: worktree}
}

// Commit writes files (an empty text removes one) and returns the commit's hash.
func (r *Repository) Commit(files map[string]string) string {
	r.t.Helper()
	for name, text := range files {
		if text == "" {
			if _, err := r.worktree.Remove(name); err != nil {
				r.t.Fatal(err)
			}
			continue
		}
		if err := util.WriteFile(r.worktree.Filesystem, name, []byte(text), 0o644); err != nil {
			r.t.Fatal(err)
		}
		r.add(name)
	}
	return r.commit()
}

// Link writes a symbolic link and commits it.
func (r *Repository) Link(name, target string) string {
	r.t.Helper()
	if err := r.worktree.Filesystem.Symlink(target, name); err != nil {
		r.t.Fatal(err)
	}
	r.add(name)
	return r.commit()
}

func (r *Repository) add(name string) {
	r.t.Helper()
	if _, err := r.worktree.Add(name); err != nil {
		r.t.Fatal(err)
	}
}

func (r *Repository) commit() string {
	r.t.Helper()
	r.commits++
	hash, err := r.worktree.Commit(fmt.Sprintf("change %d\n\nwith a body", r.commits), &gogit.CommitOptions{AllowEmptyCommits: true,
		Author: &object.Signature{Name: "test", Email: "test@example.test", When: time.Unix(int64(1_700_000_000+r.commits), 0)}})
	if err != nil {
		r.t.Fatal(err)
	}
	return hash.String()
}

// Reset moves the branch to a commit, as a force-push does.
func (r *Repository) Reset(hash string) {
	r.t.Helper()
	if err := r.worktree.Reset(&gogit.ResetOptions{Commit: plumbing.NewHash(hash), Mode: gogit.HardReset}); err != nil {
		r.t.Fatal(err)
	}
}

// Branch creates a branch at the present commit and goes on there.
func (r *Repository) Branch(name string) {
	r.t.Helper()
	if err := r.worktree.Checkout(&gogit.CheckoutOptions{Branch: plumbing.NewBranchReferenceName(name), Create: true, Keep: true}); err != nil {
		r.t.Fatal(err)
	}
}

// Tag tags a commit; with a message the tag is an annotated one.
func (r *Repository) Tag(name, hash, message string) {
	r.t.Helper()
	var options *gogit.CreateTagOptions
	if message != "" {
		options = &gogit.CreateTagOptions{Message: message, Tagger: &object.Signature{Name: "test", Email: "test@example.test"}}
	}
	if _, err := r.repo.CreateTag(name, plumbing.NewHash(hash), options); err != nil {
		r.t.Fatal(err)
	}
}

// Delete removes the repository from the server; the result puts it back.
func (r *Repository) Delete() (restore func()) {
	r.t.Helper()
	if err := os.Rename(r.dir, r.dir+".gone"); err != nil {
		r.t.Fatal(err)
	}
	return func() {
		if err := os.Rename(r.dir+".gone", r.dir); err != nil {
			r.t.Fatal(err)
		}
	}
}
