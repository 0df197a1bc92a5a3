package gitsource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/memory"
	"k8s.io/utils/clock"
)

// unusedFor is how long a cached clone that nobody asks for stays.
const unusedFor = 24 * time.Hour

// Ref is what to check out. A commit wins over a tag, a tag over a branch; empty: the branch main.
type Ref struct{ Branch, Tag, Commit string }

// Request asks for a ref of a repository.
type Request struct {
	// Key names the cached clone, one for each bundle: its UID.
	Key string
	// URL of the repository, without credentials.
	URL string
	// Ref to resolve.
	Ref Ref
	// Secret is the data of the Secret with the credentials; nil for none.
	Secret map[string][]byte
	// MaxAge is how old an answer of the remote may be.
	MaxAge time.Duration
}

// Store keeps bare clones in a folder. The folder is a cache: it may vanish at any time. A Store may be used by several
// goroutines.
type Store struct {
	dir   string
	clock clock.PassiveClock

	mu      sync.Mutex
	answers map[string]answer
	locks   map[string]*sync.Mutex
	swept   time.Time
}

// answer is what a remote said last.
type answer struct {
	fingerprint string
	hash        plumbing.Hash
	at          time.Time
}

// New makes a store in a folder, which need not exist yet.
func New(dir string, c clock.PassiveClock) *Store {
	return &Store{dir: filepath.Join(dir, "git"), clock: c, answers: map[string]answer{}, locks: map[string]*sync.Mutex{}}
}

var validKey = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,63}$`)

// Fetch resolves the ref, fetches what is missing, and returns the commit. Errors are *Error.
func (s *Store) Fetch(ctx context.Context, req Request) (*Snapshot, error) {
	if !validKey.MatchString(req.Key) {
		return nil, fail(FetchFailed, nil, "%q can not name a clone", req.Key)
	}
	from, err := newRemote(req.URL, req.Secret)
	if err != nil {
		return nil, err
	}
	lock := s.lock(req.Key)
	lock.Lock()
	defer lock.Unlock()
	s.sweep()
	snapshot, err := s.fetch(ctx, req, from)
	if err != nil {
		return nil, explain(err, req.URL, from.credentials)
	}
	return snapshot, nil
}

func (s *Store) fetch(ctx context.Context, req Request, from remote) (*Snapshot, error) {
	print := fingerprint(req.URL, req.Ref, req.Secret)
	if known, ok := s.known(req.Key, print, req.MaxAge); ok {
		if snapshot, err := s.open(req, known); err == nil {
			return snapshot, nil
		}
	}
	target, err := resolve(ctx, from, req.Ref)
	if err != nil {
		return nil, err
	}
	snapshot, err := s.bring(ctx, req, from, target)
	if err != nil {
		return nil, err
	}
	s.remember(req.Key, answer{fingerprint: print, hash: snapshot.commit.Hash, at: s.clock.Now()})
	return snapshot, nil
}

// bring opens the commit from the cache, or fetches it. A cache that is broken is made anew, once.
func (s *Store) bring(ctx context.Context, req Request, from remote, t target) (*Snapshot, error) {
	if !t.hash.IsZero() {
		if snapshot, err := s.open(req, t.hash); err == nil {
			return snapshot, nil
		}
	}
	hash, err := s.pull(ctx, req, from, t)
	if err != nil && ctx.Err() == nil && !errors.Is(err, errTooLarge) && !errors.As(err, new(*Error)) {
		if err := os.RemoveAll(s.path(req.Key)); err != nil {
			return nil, fmt.Errorf("the cached clone can not be removed: %w", err)
		}
		hash, err = s.pull(ctx, req, from, t)
	}
	if err != nil {
		return nil, err
	}
	return s.open(req, hash)
}

// pull fetches into the clone, which it makes if there is none, and returns the commit.
func (s *Store) pull(ctx context.Context, req Request, from remote, t target) (plumbing.Hash, error) {
	if size(s.path(req.Key)) > MaxCloneBytes {
		if err := os.RemoveAll(s.path(req.Key)); err != nil {
			return plumbing.ZeroHash, err
		}
	}
	repo, err := s.openRepository(req.Key, true)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	remote := gogit.NewRemote(repo.Storer, &config.RemoteConfig{Name: "origin", URLs: []string{from.url}})
	err = remote.FetchContext(ctx, &gogit.FetchOptions{
		RemoteName: "origin", RefSpecs: t.specs, Auth: from.method(), Tags: gogit.NoTags, Force: true,
		ClientCert: from.auth.ClientCert, ClientKey: from.auth.ClientKey, CABundle: from.auth.CAFile,
	})
	if err != nil && !errors.Is(err, gogit.NoErrAlreadyUpToDate) {
		return plumbing.ZeroHash, err
	}
	return t.commit(repo, req)
}

// open returns a commit of the cached clone, if it is there in full.
func (s *Store) open(req Request, hash plumbing.Hash) (*Snapshot, error) {
	repo, err := s.openRepository(req.Key, false)
	if err != nil {
		return nil, err
	}
	commit, err := repo.CommitObject(hash)
	if err != nil {
		return nil, err
	}
	if _, err := commit.Tree(); err != nil {
		return nil, err
	}
	now := s.clock.Now()
	_ = os.Chtimes(s.path(req.Key), now, now)
	return &Snapshot{Revision: revision(req.Ref, hash), repo: repo, commit: commit}, nil
}

// revision is how a commit is written in status: main@sha1:<hash>.
func revision(ref Ref, hash plumbing.Hash) string {
	name := ref.Tag
	switch {
	case ref.Commit != "":
		name = ref.Branch
	case ref.Tag == "":
		name = ref.branch()
	}
	if name == "" {
		return "sha1:" + hash.String()
	}
	return name + "@sha1:" + hash.String()
}

func (r Ref) branch() string {
	if r.Branch == "" {
		return "main"
	}
	return r.Branch
}

func (s *Store) openRepository(key string, create bool) (*gogit.Repository, error) {
	path := s.path(key)
	if _, err := os.Stat(filepath.Join(path, "HEAD")); err != nil && !create {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("the folder for cached clones can not be written: %w", err)
	}
	disk := filesystem.NewStorage(osfs.New(path), cache.NewObjectLRU(16*cache.MiByte))
	storage := boundedStorage{Storage: disk, limit: MaxPackBytes}
	repo, err := gogit.Open(storage, nil)
	if errors.Is(err, gogit.ErrRepositoryNotExists) && create {
		return gogit.Init(storage, nil)
	}
	return repo, err
}

func (s *Store) path(key string) string { return filepath.Join(s.dir, key) }

// Forget removes the cached clone of a bundle that is gone.
func (s *Store) Forget(key string) error {
	if !validKey.MatchString(key) {
		return nil
	}
	lock := s.lock(key)
	lock.Lock()
	defer lock.Unlock()
	s.mu.Lock()
	delete(s.answers, key)
	delete(s.locks, key)
	s.mu.Unlock()
	return os.RemoveAll(s.path(key))
}

func (s *Store) lock(key string) *sync.Mutex {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.locks[key] == nil {
		s.locks[key] = &sync.Mutex{}
	}
	return s.locks[key]
}

func (s *Store) known(key, fingerprint string, maxAge time.Duration) (plumbing.Hash, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.answers[key]
	return a.hash, ok && a.fingerprint == fingerprint && s.clock.Since(a.at) < maxAge
}

func (s *Store) remember(key string, a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[key] = a
}

// sweep removes, at most once an hour, clones that nobody asked for in a day: their bundles were deleted while no
// operator ran.
func (s *Store) sweep() {
	s.mu.Lock()
	now := s.clock.Now()
	due := now.Sub(s.swept) > time.Hour
	if due {
		s.swept = now
	}
	s.mu.Unlock()
	if !due {
		return
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && now.Sub(info.ModTime()) > unusedFor {
			_ = os.RemoveAll(filepath.Join(s.dir, e.Name()))
		}
	}
}

// size is how much a folder holds; 0 if it can not be read.
func size(dir string) int64 {
	var total int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil
	})
	return total
}

// list asks the remote for its refs.
func list(ctx context.Context, from remote) ([]*plumbing.Reference, error) {
	r := gogit.NewRemote(memory.NewStorage(), &config.RemoteConfig{Name: "origin", URLs: []string{from.url}})
	return r.ListContext(ctx, &gogit.ListOptions{
		Auth: from.method(), PeelingOption: gogit.AppendPeeled,
		ClientCert: from.auth.ClientCert, ClientKey: from.auth.ClientKey, CABundle: from.auth.CAFile,
	})
}
