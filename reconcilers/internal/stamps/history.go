package stamps

import (
	"fmt"
	"io/fs"
	"iter"
	"strings"

	"github.com/pressly/goose/v3"

	"github.com/interlock-dev/interlock/migrations/schema"
)

// Named is what a commit's bundle says about images.
type Named struct {
	// Images that the rendered bundle names.
	Images map[string]bool
	// Broken: the bundle did not render, or was not there; Text is what the files hold.
	Broken bool
	Text   string
}

// names says whether the bundle names an image.
func (n Named) names(image string) bool { return n.Images[image] }

// mayName says whether a bundle that does not render could name an image: its name and its tag are in the text.
func (n Named) mayName(image string) bool {
	name, tag := splitImage(image)
	return n.Broken && strings.Contains(n.Text, name) && strings.Contains(n.Text, tag)
}

// splitImage divides an image reference into its name and its tag or digest; the tag is "" where there is none.
func splitImage(image string) (name, tag string) {
	if name, digest, ok := strings.Cut(image, "@"); ok {
		return name, digest
	}
	if at := strings.LastIndex(image, ":"); at > strings.LastIndex(image, "/") {
		return image[:at], image[at+1:]
	}
	return image, ""
}

// Oldest returns, for each image, the oldest commit of a history that names it. The history goes backwards. A commit
// that does not render is passed over, unless it comes right before one that names the image and has the image's name and
// tag in its text: then the image may be that old. An image that no commit names is not in the result. A history that ends in
// an error proves nothing, and neither does Oldest.
func Oldest[C any](history iter.Seq2[C, error], images []string, named func(C) (Named, error)) (map[string]C, error) {
	oldest := map[string]C{}
	adjoins := map[string]bool{}
	for commit, err := range history {
		if err != nil {
			return nil, err
		}
		n, err := named(commit)
		if err != nil {
			return nil, err
		}
		for _, image := range images {
			if adjoins[image] = n.names(image) || adjoins[image] && n.mayName(image); adjoins[image] {
				oldest[image] = commit
			}
		}
	}
	return oldest, nil
}

// VersionAt is the version of a series that a tree is at: the longest gap-free prefix of the known versions that is in
// the folder. A folder that is not there is at 0. Only the files' names count.
func VersionAt(tree fs.FS, dir string, known []int64) int64 {
	entries, err := fs.ReadDir(tree, dir)
	if err != nil {
		return 0
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return schema.Prefix(Versions(names), known)
}

// Versions are those of migrations with such file names; what is no migration is left out.
func Versions(names []string) []int64 {
	var versions []int64
	for _, name := range names {
		if v, err := goose.NumericComponent(name); err == nil && strings.HasSuffix(name, ".sql") {
			versions = append(versions, v)
		}
	}
	return versions
}

// Derived is the version of an image with its reason.
func Derived(version int64, commit string) Version {
	return Version{Version: version, Why: fmt.Sprintf("derived from commit %.12s, the oldest that names it; assumed to be built from that tree", commit)}
}
