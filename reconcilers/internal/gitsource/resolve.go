package gitsource

import (
	"context"
	"errors"
	"fmt"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// target is what to fetch for a ref.
type target struct {
	// hash of the commit, if the remote's list of refs tells it.
	hash plumbing.Hash
	// specs to fetch.
	specs []config.RefSpec
	// name of the ref in the clone; empty for a commit without a branch.
	name plumbing.ReferenceName
}

// resolve asks the remote where the ref stands; that costs one request.
func resolve(ctx context.Context, from remote, ref Ref) (target, error) {
	refs, err := list(ctx, from)
	if err != nil {
		return target{}, err
	}
	if ref.Commit != "" && ref.Branch == "" {
		return target{hash: plumbing.NewHash(ref.Commit),
			specs: []config.RefSpec{"+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"}}, nil
	}
	name := plumbing.NewBranchReferenceName(ref.branch())
	if ref.Commit == "" && ref.Tag != "" {
		name = plumbing.NewTagReferenceName(ref.Tag)
	}
	t := target{name: name, specs: []config.RefSpec{config.RefSpec("+" + name + ":" + name)}}
	found := false
	for _, r := range refs {
		switch r.Name() {
		case name:
			found = true
			if t.hash.IsZero() {
				t.hash = r.Hash()
			}
		case name + "^{}":
			t.hash = r.Hash()
		}
	}
	if !found {
		return target{}, fail(RefNotFound, nil, "%s has no %s; correct spec.git.ref, or push it", from.url, describe(ref))
	}
	if ref.Commit != "" {
		// Whether the commit is on the branch is only known with the history at hand.
		t.hash = plumbing.ZeroHash
	}
	return t, nil
}

func describe(ref Ref) string {
	switch {
	case ref.Commit != "" && ref.Branch != "":
		return "commit " + ref.Commit + " on the branch " + ref.Branch
	case ref.Commit != "":
		return "commit " + ref.Commit
	case ref.Tag != "":
		return "tag " + ref.Tag
	}
	return "branch " + ref.branch()
}

// commit finds, after a fetch, the commit that the request asks for.
func (t target) commit(repo *gogit.Repository, req Request) (plumbing.Hash, error) {
	missing := fail(RefNotFound, nil, "%s has no %s; correct spec.git.ref, or push it", req.URL, describe(req.Ref))
	if t.name == "" {
		if _, err := repo.CommitObject(t.hash); err != nil {
			return plumbing.ZeroHash, missing
		}
		return t.hash, nil
	}
	tip, err := repo.ResolveRevision(plumbing.Revision(t.name))
	if err != nil {
		// The remote has it, so the clone is damaged; it is made anew.
		return plumbing.ZeroHash, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if req.Ref.Commit == "" {
		return *tip, nil
	}
	return onBranch(repo, *tip, plumbing.NewHash(req.Ref.Commit), missing)
}

func onBranch(repo *gogit.Repository, tip, wanted plumbing.Hash, missing error) (plumbing.Hash, error) {
	head, err := repo.CommitObject(tip)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	commit, err := repo.CommitObject(wanted)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return plumbing.ZeroHash, missing
	} else if err != nil {
		return plumbing.ZeroHash, err
	}
	if ok, err := isAncestor(commit, head); err != nil || !ok {
		return plumbing.ZeroHash, errors.Join(err, missing)
	}
	return wanted, nil
}

func isAncestor(old, young *object.Commit) (bool, error) {
	if old.Hash == young.Hash {
		return true, nil
	}
	return old.IsAncestor(young)
}
