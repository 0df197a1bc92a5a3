package render

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// MaxObjects is how many objects one bundle may have: its inventory has to fit into its status.
const MaxObjects = 5000

// Reason is why a tree does not render; it becomes the reason of a condition.
type Reason string

const (
	// PathNotFound: the folder is not in the repository, or leads out of it.
	PathNotFound Reason = "PathNotFound"
	// BuildFailed: a file can not be read as YAML, or Kustomize refuses it.
	BuildFailed Reason = "BuildFailed"
	// ObjectRefused: the tree renders, but an object may not be part of this bundle.
	ObjectRefused Reason = "ObjectRefused"
)

// Error says why a tree does not render: it names file and line where they are known.
type Error struct {
	Reason  Reason
	Message string
	cause   error
}

func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause, if there is one.
func (e *Error) Unwrap() error { return e.cause }

func fail(reason Reason, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Reason: reason, Message: err.Error(), cause: errors.Unwrap(err)}
}

// Result is what a folder renders to.
type Result struct {
	// Objects in the order of the files.
	Objects []*unstructured.Unstructured
	// Kustomize says that there was a kustomization.
	Kustomize bool
	// Outside says that files outside the folder were read, so that the folder's content alone does not decide
	// what it renders to.
	Outside bool
}

// Render renders a folder of a tree. Errors are *Error, or what reading the tree returns.
func Render(fsys fs.FS, dir string) (Result, error) {
	clean, err := Clean(dir)
	if err != nil {
		return Result{}, err
	}
	info, err := fs.Stat(fsys, clean)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Result{}, fail(PathNotFound, "there is no folder %q in the repository; correct spec.path, or add it", clean)
	case err != nil:
		return Result{}, fail(BuildFailed, "%w", err)
	case !info.IsDir():
		return Result{}, fail(PathNotFound, "%q is a file; spec.path names the folder that holds it", clean)
	}
	var r Result
	if kustomizationIn(fsys, clean) != "" {
		r, err = renderKustomize(fsys, clean)
	} else {
		r.Objects, err = renderPlain(fsys, clean)
	}
	if err != nil {
		return Result{}, err
	}
	if len(r.Objects) > MaxObjects {
		return Result{}, fail(ObjectRefused, "%q renders to %d objects, more than %d; split the bundle", clean, len(r.Objects), MaxObjects)
	}
	return r, nil
}

// Clean turns a path of a spec into one of a tree: "./deploy/" is "deploy". A path that leads out of the tree is
// refused.
func Clean(dir string) (string, error) {
	clean := path.Clean(strings.TrimPrefix(dir, "/"))
	if dir == "" {
		clean = "."
	}
	if !fs.ValidPath(clean) || strings.ContainsAny(dir, "\\\x00") || strings.HasPrefix(dir, "/") && clean == ".." {
		return "", fail(PathNotFound, "the path %q leads out of the repository; give a folder in it", dir)
	}
	return clean, nil
}

// renderPlain reads every .yaml and .yml file below a folder, in order of their names.
func renderPlain(fsys fs.FS, dir string) ([]*unstructured.Unstructured, error) {
	var names []string
	err := fs.WalkDir(fsys, dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name != dir && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
		case isYAML(name) && !d.IsDir():
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		return nil, fail(BuildFailed, "the files below %q can not be listed: %w", dir, err)
	}
	slices.Sort(names)
	var objects []*unstructured.Unstructured
	for _, name := range names {
		data, err := readFile(fsys, name)
		if err != nil {
			return nil, err
		}
		parsed, err := Parse(name, data)
		if err != nil {
			return nil, err
		}
		objects = append(objects, parsed...)
	}
	return objects, nil
}

func isYAML(name string) bool {
	ext := path.Ext(name)
	return ext == ".yaml" || ext == ".yml"
}

// readFile reads a regular file, or one that a symbolic link in the tree leads to.
func readFile(fsys fs.FS, name string) ([]byte, error) {
	data, err := fs.ReadFile(fsys, name)
	if err == nil {
		return data, nil
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return nil, fail(BuildFailed, "%s: %w", name, pe.Err)
	}
	return nil, fail(BuildFailed, "%s: %w", name, err)
}
