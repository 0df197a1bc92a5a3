package serve

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// RepoName is what a repository may be called: one path element, no tricks.
var RepoName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// Git serves bare repositories over smart HTTP, for reading and pushing.
type Git struct {
	dir     string
	backend cgi.Handler
}

// NewGit serves the repositories NAME.git in dir. Where there is a file NAME.auth,
// its two lines are the user and the password that the repository asks for; it is
// read at every request.
func NewGit(dir string) (*Git, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("the Git server needs git: %w", err)
	}
	return &Git{dir: dir, backend: cgi.Handler{
		Path: git, Args: []string{"http-backend"}, Dir: dir,
		Env: []string{
			"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "HOME=/nonexistent",
			"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_COUNT=1",
			"GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
			"REMOTE_USER=local", // lets http-backend accept a push
		},
		Logger: nil,
	}}, nil
}

// ServeHTTP answers /NAME.git/… .
func (g *Git) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	name, isRepo := strings.CutSuffix(first, ".git")
	if !isRepo || !RepoName.MatchString(name) {
		http.Error(w, "no such repository", http.StatusNotFound)
		return
	}
	if !g.allowed(name, r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		http.Error(w, "this repository asks for a user name and a password", http.StatusUnauthorized)
		return
	}
	if _, err := os.Stat(filepath.Join(g.dir, first)); err != nil {
		http.Error(w, "no such repository", http.StatusNotFound)
		return
	}
	g.backend.ServeHTTP(w, r)
}

// allowed compares the request's credentials with those the repository asks for.
// A file that cannot be read lets nobody in.
func (g *Git) allowed(name string, r *http.Request) bool {
	b, err := os.ReadFile(filepath.Join(g.dir, name+".auth"))
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	want, wantPassword, ok := strings.Cut(strings.TrimSuffix(string(b), "\n"), "\n")
	if err != nil || !ok {
		return false
	}
	user, password, ok := r.BasicAuth()
	return ok && equal(user, want) && equal(password, wantPassword)
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
