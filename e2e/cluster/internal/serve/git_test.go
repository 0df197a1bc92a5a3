package serve

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestGitAsksForCredentials(t *testing.T) {
	dir := t.TempDir()
	for _, repo := range []string{"open", "closed", "broken"} {
		if out, err := exec.Command("git", "init", "-q", "--bare", filepath.Join(dir, repo+".git")).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for file, content := range map[string]string{"closed.auth": "u\np:w\n", "broken.auth": "u"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g, err := NewGit(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, path, user, password string
		want                       int
	}{
		{name: "open", path: "/open.git/info/refs?service=git-upload-pack", want: http.StatusOK},
		{name: "closed, none given", path: "/closed.git/info/refs?service=git-upload-pack", want: http.StatusUnauthorized},
		{name: "closed, wrong password", path: "/closed.git/info/refs?service=git-upload-pack", user: "u", password: "p", want: http.StatusUnauthorized},
		{name: "closed, wrong user", path: "/closed.git/info/refs?service=git-upload-pack", user: "v", password: "p:w", want: http.StatusUnauthorized},
		{name: "closed, right", path: "/closed.git/info/refs?service=git-upload-pack", user: "u", password: "p:w", want: http.StatusOK},
		{name: "unreadable credentials let nobody in", path: "/broken.git/info/refs?service=git-upload-pack", user: "u", want: http.StatusUnauthorized},
		{name: "gone", path: "/gone.git/info/refs?service=git-upload-pack", want: http.StatusNotFound},
		{name: "credentials are not served", path: "/closed.auth", want: http.StatusNotFound},
		{name: "outside", path: "/..git/HEAD", want: http.StatusNotFound},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, tc.path, nil)
			if tc.user != "" {
				r.SetBasicAuth(tc.user, tc.password)
			}
			w := httptest.NewRecorder()
			g.ServeHTTP(w, r)
			if w.Code != tc.want {
				t.Errorf("got %d, want %d: %s", w.Code, tc.want, w.Body)
			}
		})
	}
}
