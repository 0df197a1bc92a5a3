package gitsource

import (
	"fmt"
	"io/fs"
	"iter"
	"strings"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Snapshot is a commit of a repository, with the history behind it.
type Snapshot struct {
	// Revision is how it is written in status: main@sha1:<hash>.
	Revision string

	repo   *gogit.Repository
	commit *object.Commit
}

// Head is the commit itself.
func (s *Snapshot) Head() Commit { return Commit{commit: s.commit} }

// Subject is the first line of the commit's message, at most 72 bytes.
func (s *Snapshot) Subject() string {
	line, _, _ := strings.Cut(strings.TrimSpace(s.commit.Message), "\n")
	if len(line) > 72 {
		line = strings.ToValidUTF8(line[:72], "") + "…"
	}
	return line
}

// History goes from the commit back along first parents, the newest first. It ends with an error if the history is cut
// short (a shallow repository), or longer than MaxHistory.
func (s *Snapshot) History() iter.Seq2[Commit, error] {
	return func(yield func(Commit, error) bool) {
		c := s.commit
		for n := 0; ; n++ {
			if n == MaxHistory {
				yield(Commit{}, fmt.Errorf("the history is longer than %d commits", MaxHistory))
				return
			}
			if !yield(Commit{commit: c}, nil) || c.NumParents() == 0 {
				return
			}
			parent, err := c.Parent(0)
			if err != nil {
				yield(Commit{}, fmt.Errorf("the history ends at %s: its parent is not there: %w", c.Hash, err))
				return
			}
			c = parent
		}
	}
}

// Commit is one commit of a history.
type Commit struct{ commit *object.Commit }

// ID is the commit's hash, 40 hex digits.
func (c Commit) ID() string { return c.commit.Hash.String() }

// TreeHash names the content of a folder; "" if there is no such folder. "." is the whole tree.
func (c Commit) TreeHash(dir string) string {
	if dir == "." {
		return c.commit.TreeHash.String()
	}
	root, err := c.commit.Tree()
	if err != nil {
		return ""
	}
	entry, err := root.FindEntry(dir)
	if err != nil {
		return ""
	}
	return entry.Hash.String()
}

// FS is the commit's tree. What may be read through it is bounded (MaxReadFiles, MaxReadBytes).
func (c Commit) FS() (fs.FS, error) {
	root, err := c.commit.Tree()
	if err != nil {
		return nil, fmt.Errorf("the tree of commit %s can not be read: %w", c.ID(), err)
	}
	return treeFS{root: root, budget: &budget{}}, nil
}
