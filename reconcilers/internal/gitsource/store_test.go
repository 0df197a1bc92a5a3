package gitsource

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/interlock-dev/interlock/reconcilers/internal/gitsource/gittest"
)

const key = "0b7a2d6e-1111-2222-3333-444455556666"

func fetchCtx(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func mustFetch(t *testing.T, s *Store, req Request) *Snapshot {
	t.Helper()
	got, err := s.Fetch(fetchCtx(t), req)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func read(t *testing.T, s *Snapshot, name string) string {
	t.Helper()
	tree, err := s.Head().FS()
	if err != nil {
		t.Fatal(err)
	}
	data, err := fs.ReadFile(tree, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestFetchRefs(t *testing.T) {
	server := gittest.NewServer(t, "", "")
	repo := server.Repository("app.git")
	first := repo.Commit(map[string]string{"a.yaml": "1"})
	repo.Tag("v1", first, "")
	repo.Tag("v1-annotated", first, "the first")
	second := repo.Commit(map[string]string{"a.yaml": "2"})
	repo.Branch("next")
	third := repo.Commit(map[string]string{"a.yaml": "3"})

	tests := map[string]struct {
		ref          Ref
		wantRevision string
		wantContent  string
		wantReason   Reason
		wantMessage  string
	}{
		"nothing is main":                     {ref: Ref{}, wantRevision: "main@sha1:" + second, wantContent: "2"},
		"branch":                              {ref: Ref{Branch: "next"}, wantRevision: "next@sha1:" + third, wantContent: "3"},
		"tag":                                 {ref: Ref{Tag: "v1"}, wantRevision: "v1@sha1:" + first, wantContent: "1"},
		"annotated tag":                       {ref: Ref{Tag: "v1-annotated"}, wantRevision: "v1-annotated@sha1:" + first, wantContent: "1"},
		"a tag wins over a branch":            {ref: Ref{Tag: "v1", Branch: "next"}, wantRevision: "v1@sha1:" + first, wantContent: "1"},
		"commit":                              {ref: Ref{Commit: first}, wantRevision: "sha1:" + first, wantContent: "1"},
		"commit on its branch":                {ref: Ref{Commit: first, Branch: "main"}, wantRevision: "main@sha1:" + first, wantContent: "1"},
		"the branch's own tip":                {ref: Ref{Commit: second, Branch: "main"}, wantRevision: "main@sha1:" + second, wantContent: "2"},
		"a commit that is not on the branch":  {ref: Ref{Commit: third, Branch: "main"}, wantReason: RefNotFound, wantMessage: "commit " + third + " on the branch main"},
		"a commit that is nowhere":            {ref: Ref{Commit: strings.Repeat("0", 39) + "1"}, wantReason: RefNotFound, wantMessage: "correct spec.git.ref"},
		"a branch that is not there":          {ref: Ref{Branch: "gone"}, wantReason: RefNotFound, wantMessage: "has no branch gone"},
		"a tag that is not there":             {ref: Ref{Tag: "v9"}, wantReason: RefNotFound, wantMessage: "has no tag v9"},
		"a commit on a branch that is absent": {ref: Ref{Commit: first, Branch: "gone"}, wantReason: RefNotFound, wantMessage: "on the branch gone"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := New(t.TempDir(), clock.RealClock{})
			got, err := s.Fetch(fetchCtx(t), Request{Key: key, URL: server.URL("app.git"), Ref: tt.ref})
			if tt.wantReason != "" {
				checkError(t, err, tt.wantReason, tt.wantMessage)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Revision != tt.wantRevision {
				t.Errorf("revision %s, want %s", got.Revision, tt.wantRevision)
			}
			if content := read(t, got, "a.yaml"); content != tt.wantContent {
				t.Errorf("content %q, want %q", content, tt.wantContent)
			}
		})
	}
}

func checkError(t *testing.T, err error, reason Reason, message string) {
	t.Helper()
	var own *Error
	if !errors.As(err, &own) {
		t.Fatalf("error %v, want one with the reason %s", err, reason)
	}
	if own.Reason != reason || !strings.Contains(own.Message, message) {
		t.Errorf("%s: %s; want %s: …%s…", own.Reason, own.Message, reason, message)
	}
}

func TestFetchErrors(t *testing.T) {
	open := gittest.NewServer(t, "", "")
	open.Repository("empty.git")
	locked := gittest.NewServer(t, "alice", "right")
	locked.Repository("app.git").Commit(map[string]string{"a.yaml": "1"})
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })

	userPass := func(u, p string) map[string][]byte {
		return map[string][]byte{"username": []byte(u), "password": []byte(p)}
	}
	tests := map[string]struct {
		url         string
		secret      map[string][]byte
		timeout     time.Duration
		wantReason  Reason
		wantMessage string
	}{
		"no such repository":       {url: open.URL("gone.git"), wantReason: RepositoryNotFound, wantMessage: "correct spec.git.url"},
		"nothing pushed yet":       {url: open.URL("empty.git"), wantReason: RepositoryEmpty, wantMessage: "push one"},
		"credentials are asked":    {url: locked.URL("app.git"), wantReason: AuthenticationRequired, wantMessage: "spec.git.secretRef"},
		"credentials are wrong":    {url: locked.URL("app.git"), secret: userPass("alice", "s3cret-wrong"), wantReason: AuthenticationFailed, wantMessage: "refuses the credentials"},
		"a token is wrong":         {url: locked.URL("app.git"), secret: map[string][]byte{"bearerToken": []byte("s3cret-token")}, wantReason: AuthenticationFailed, wantMessage: "refuses the credentials"},
		"the Secret is incomplete": {url: locked.URL("app.git"), secret: map[string][]byte{"password": []byte("s3cret-only")}, wantReason: CredentialsInvalid, wantMessage: "username and password"},
		"credentials in the URL":   {url: "http://alice:s3cret-url@127.0.0.1/app.git", wantReason: URLInvalid, wantMessage: "put them into a Secret"},
		"another scheme":           {url: "file:///etc", wantReason: URLInvalid, wantMessage: "https://host/path.git"},
		"nobody listens":           {url: "http://127.0.0.1:1/app.git", wantReason: FetchFailed, wantMessage: "can not be fetched"},
		"no such host":             {url: "http://no-such-host.invalid/app.git", wantReason: FetchFailed, wantMessage: "no address"},
		"no answer":                {url: "http://" + silent.Addr().String() + "/app.git", timeout: 300 * time.Millisecond, wantReason: FetchTimeout, wantMessage: "raise spec.timeout"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			ctx := fetchCtx(t)
			if tt.timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, tt.timeout)
				defer cancel()
			}
			_, err := New(t.TempDir(), clock.RealClock{}).Fetch(ctx, Request{Key: key, URL: tt.url, Secret: tt.secret})
			checkError(t, err, tt.wantReason, tt.wantMessage)
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error shows a credential: %v", err)
			}
		})
	}
}

func TestFetchWithCredentials(t *testing.T) {
	server := gittest.NewServer(t, "alice", "right")
	want := server.Repository("app.git").Commit(map[string]string{"a.yaml": "1"})
	got := mustFetch(t, New(t.TempDir(), clock.RealClock{}), Request{Key: key, URL: server.URL("app.git"),
		Secret: map[string][]byte{"username": []byte("alice"), "password": []byte("right")}})
	if got.Revision != "main@sha1:"+want {
		t.Errorf("revision %s", got.Revision)
	}
}

// TestFetchIsCheap: an unchanged head costs one request, and none at all within MaxAge.
func TestFetchIsCheap(t *testing.T) {
	server := gittest.NewServer(t, "", "")
	repo := server.Repository("app.git")
	repo.Commit(map[string]string{"a.yaml": "1"})
	now := clocktesting.NewFakePassiveClock(time.Now())
	s := New(t.TempDir(), now)
	req := Request{Key: key, URL: server.URL("app.git"), MaxAge: 10 * time.Second}
	asks := func(want int64, what string) {
		t.Helper()
		before := server.Requests.Load()
		mustFetch(t, s, req)
		if got := server.Requests.Load() - before; got != want {
			t.Errorf("%s: %d requests, want %d", what, got, want)
		}
	}
	mustFetch(t, s, req)
	asks(0, "within MaxAge")
	now.SetTime(now.Now().Add(11 * time.Second))
	asks(1, "later, unchanged")
	req.MaxAge = 0
	asks(1, "asked to look now")
	req.MaxAge = 10 * time.Second
	req.Ref.Branch = "main"
	asks(1, "another ref in the spec")
	req.Secret = map[string][]byte{"username": []byte("x"), "password": []byte("y")}
	asks(1, "another Secret")
}

func TestForcePush(t *testing.T) {
	server := gittest.NewServer(t, "", "")
	repo := server.Repository("app.git")
	base := repo.Commit(map[string]string{"a.yaml": "base"})
	repo.Commit(map[string]string{"a.yaml": "wrong"})
	s := New(t.TempDir(), clock.RealClock{})
	req := Request{Key: key, URL: server.URL("app.git")}
	if got := read(t, mustFetch(t, s, req), "a.yaml"); got != "wrong" {
		t.Fatalf("content %q", got)
	}
	repo.Reset(base)
	repo.Commit(map[string]string{"a.yaml": "right"})
	got := mustFetch(t, s, req)
	if content := read(t, got, "a.yaml"); content != "right" {
		t.Errorf("content %q after the force-push, want %q", content, "right")
	}
	if n := len(history(t, got)); n != 2 {
		t.Errorf("%d commits in the history, want the two of the new one", n)
	}
	repo.Reset(base)
	if content := read(t, mustFetch(t, s, req), "a.yaml"); content != "base" {
		t.Errorf("content %q after going back, want %q", content, "base")
	}
}

func history(t *testing.T, s *Snapshot) []string {
	t.Helper()
	var ids []string
	for c, err := range s.History() {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, c.ID())
	}
	return ids
}

func TestHistory(t *testing.T) {
	server := gittest.NewServer(t, "", "")
	repo := server.Repository("app.git")
	want := []string{
		repo.Commit(map[string]string{"deploy/a.yaml": "1"}),
		repo.Commit(map[string]string{"README": "x"}),
		repo.Commit(map[string]string{"deploy/a.yaml": "2"}),
	}
	got := mustFetch(t, New(t.TempDir(), clock.RealClock{}), Request{Key: key, URL: server.URL("app.git")})
	slices.Reverse(want)
	if ids := history(t, got); !slices.Equal(ids, want) {
		t.Errorf("history %v, want %v", ids, want)
	}
	if got.Subject() != "change 3" {
		t.Errorf("subject %q", got.Subject())
	}
	var trees []string
	for c := range got.History() {
		trees = append(trees, c.TreeHash("deploy"))
	}
	if trees[0] == trees[1] || trees[1] != trees[2] || trees[0] == "" {
		t.Errorf("tree hashes of deploy: %v", trees)
	}
	if got.Head().TreeHash("none") != "" || got.Head().TreeHash(".") == "" {
		t.Errorf("tree hashes of a missing folder and of the whole tree: %q %q", got.Head().TreeHash("none"), got.Head().TreeHash("."))
	}
}

// TestCacheMayVanish: removed, or filled with rubbish, it is made anew.
func TestCacheMayVanish(t *testing.T) {
	server := gittest.NewServer(t, "", "")
	server.Repository("app.git").Commit(map[string]string{"a.yaml": "1"})
	for name, spoil := range map[string]func(dir string) error{
		"removed": os.RemoveAll,
		"half a clone": func(dir string) error {
			if err := os.RemoveAll(filepath.Join(dir, "objects")); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "HEAD"), []byte("rubbish"), 0o600)
		},
		"objects without content": func(dir string) error {
			return filepath.WalkDir(filepath.Join(dir, "objects"), func(p string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				return errors.Join(os.Chmod(p, 0o600), os.WriteFile(p, []byte("x"), 0o600))
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := New(dir, clock.RealClock{})
			req := Request{Key: key, URL: server.URL("app.git"), MaxAge: time.Hour}
			mustFetch(t, s, req)
			if err := spoil(filepath.Join(dir, "git", key)); err != nil {
				t.Fatal(err)
			}
			if got := read(t, mustFetch(t, s, req), "a.yaml"); got != "1" {
				t.Errorf("content %q", got)
			}
		})
	}
}

func TestForgetAndSweep(t *testing.T) {
	server := gittest.NewServer(t, "", "")
	server.Repository("app.git").Commit(map[string]string{"a.yaml": "1"})
	dir := t.TempDir()
	now := clocktesting.NewFakePassiveClock(time.Now())
	s := New(dir, now)
	left := func() int {
		entries, err := os.ReadDir(filepath.Join(dir, "git"))
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	mustFetch(t, s, Request{Key: "one", URL: server.URL("app.git")})
	mustFetch(t, s, Request{Key: "two", URL: server.URL("app.git")})
	if err := s.Forget("one"); err != nil || left() != 1 {
		t.Fatalf("after Forget: %d clones, %v", left(), err)
	}
	now.SetTime(now.Now().Add(2 * unusedFor))
	mustFetch(t, s, Request{Key: "three", URL: server.URL("app.git")})
	if left() != 1 {
		t.Errorf("%d clones, want only the one that is used", left())
	}
	if err := s.Forget("../../etc"); err != nil {
		t.Errorf("a key that is no name of a clone: %v", err)
	}
	if _, err := s.Fetch(fetchCtx(t), Request{Key: "../up", URL: server.URL("app.git")}); err == nil {
		t.Error("a key that leads out of the folder was taken")
	}
}

func TestTree(t *testing.T) {
	server := gittest.NewServer(t, "", "")
	repo := server.Repository("app.git")
	repo.Commit(map[string]string{"deploy/a.yaml": "A", "deploy/sub/b.yaml": "B", "big.bin": strings.Repeat("x", MaxFileBytes+1)})
	repo.Link("deploy/in.yaml", "sub/b.yaml")
	repo.Link("deploy/up.yaml", "../deploy/a.yaml")
	repo.Link("deploy/out.yaml", "../../etc/passwd")
	repo.Link("deploy/abs.yaml", "/etc/passwd")
	repo.Link("deploy/loop.yaml", "loop.yaml")
	s := mustFetch(t, New(t.TempDir(), clock.RealClock{}), Request{Key: key, URL: server.URL("app.git")})
	tree, err := s.Head().FS()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"deploy/a.yaml": "A", "deploy/in.yaml": "B", "deploy/up.yaml": "A"} {
		if data, err := fs.ReadFile(tree, name); err != nil || string(data) != want {
			t.Errorf("%s: %q, %v; want %q", name, data, err, want)
		}
	}
	for name, want := range map[string]string{
		"deploy/out.yaml": "leads out of the repository", "deploy/abs.yaml": "leads out of the repository",
		"deploy/loop.yaml": "symbolic links", "deploy/none.yaml": "not exist", "big.bin": "larger than 4 MiB", "../x": "invalid",
	} {
		if _, err := fs.ReadFile(tree, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", name, err, want)
		}
	}
	var walked []string
	err = fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			walked = append(walked, name)
		}
		return err
	})
	if want := []string{"big.bin", "deploy/a.yaml", "deploy/sub/b.yaml"}; err != nil || !slices.Equal(walked, want) {
		t.Errorf("regular files %v, %v; want %v", walked, err, want)
	}
}

func TestBudget(t *testing.T) {
	b := &budget{}
	for range MaxReadBytes / MaxFileBytes {
		if err := b.take("f", MaxFileBytes); err != nil {
			t.Fatal(err)
		}
	}
	checkError(t, b.take("one-more", 1), SourceTooLarge, "one-more")
	b = &budget{files: MaxReadFiles}
	checkError(t, b.take("f", 1), SourceTooLarge, "more than 10000")
}

func TestBoundedWriter(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "pack"))
	if err != nil {
		t.Fatal(err)
	}
	w := &boundedWriter{WriteCloser: f, left: 10}
	if _, err := w.Write(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte{1}); !errors.Is(err, errTooLarge) {
		t.Errorf("error %v after the limit", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	checkError(t, explain(errTooLarge, "https://x", false), SourceTooLarge, "512 MiB")
}

// TestDamagedFile: a clone whose files can not be read says so, and is whole again once it is forgotten.
func TestDamagedFile(t *testing.T) {
	server := gittest.NewServer(t, "", "")
	server.Repository("app.git").Commit(map[string]string{"a.yaml": "1"})
	dir := t.TempDir()
	s := New(dir, clock.RealClock{})
	req := Request{Key: key, URL: server.URL("app.git")}
	snapshot := mustFetch(t, s, req)
	tree, err := snapshot.Head().FS()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "git", key, "objects")); err != nil {
		t.Fatal(err)
	}
	if _, err := fs.ReadFile(tree, "a.yaml"); !IsDamaged(err) {
		t.Fatalf("error %v, want one about a damaged clone", err)
	}
	if err := s.Forget(key); err != nil {
		t.Fatal(err)
	}
	if got := read(t, mustFetch(t, s, req), "a.yaml"); got != "1" {
		t.Errorf("content %q", got)
	}
}
