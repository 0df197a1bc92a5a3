package render

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// kustomizeFS shows a tree to Kustomize, read-only, as the absolute path "/". It reads a file when Kustomize asks for
// it, and there is nothing outside it: neither the operator's disk nor a way out by "..".
type kustomizeFS struct {
	tree fs.FS
	// root is the folder that is built; outside is set when something outside it is read.
	root    string
	outside *bool
}

var errReadOnly = errors.New("the tree is read-only")

// inTree is the path within the tree.
func inTree(name string) string {
	clean := strings.TrimPrefix(path.Clean("/"+filepath.ToSlash(name)), "/")
	if clean == "" {
		return "."
	}
	return clean
}

func under(root, name string) bool {
	return root == "." || name == root || strings.HasPrefix(name, root+"/")
}

func (k kustomizeFS) stat(name string) fs.FileInfo {
	info, err := fs.Stat(k.tree, inTree(name))
	if err != nil {
		return nil
	}
	return info
}

// IsDir implements filesys.FileSystem, like all that follow.
func (k kustomizeFS) IsDir(name string) bool {
	info := k.stat(name)
	return info != nil && info.IsDir()
}

func (k kustomizeFS) Exists(name string) bool { return k.stat(name) != nil }

func (k kustomizeFS) ReadFile(name string) ([]byte, error) {
	clean := inTree(name)
	if !under(k.root, clean) {
		*k.outside = true
	}
	return readFile(k.tree, clean)
}

func (k kustomizeFS) ReadDir(name string) ([]string, error) {
	entries, err := fs.ReadDir(k.tree, inTree(name))
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

func (k kustomizeFS) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	clean := inTree(name)
	switch info := k.stat(name); {
	case info == nil:
		return "", "", fmt.Errorf("%q is not in this repository", clean)
	case info.IsDir():
		return filesys.ConfirmedDir(path.Join("/", clean)), "", nil
	}
	return filesys.ConfirmedDir(path.Dir("/" + clean)), path.Base(clean), nil
}

func (k kustomizeFS) Glob(pattern string) ([]string, error) {
	found, err := fs.Glob(k.tree, inTree(pattern))
	for i := range found {
		found[i] = "/" + found[i]
	}
	return found, err
}

func (k kustomizeFS) Walk(name string, walk filepath.WalkFunc) error {
	return fs.WalkDir(k.tree, inTree(name), func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return walk("/"+p, nil, err)
		}
		info, err := d.Info()
		return walk("/"+p, info, err)
	})
}

func (k kustomizeFS) Open(name string) (filesys.File, error) {
	data, err := k.ReadFile(name)
	if err != nil {
		return nil, err
	}
	memory := filesys.MakeFsInMemory()
	if err := memory.WriteFile("/file", data); err != nil {
		return nil, err
	}
	return memory.Open("/file")
}

func (kustomizeFS) Create(string) (filesys.File, error) { return nil, errReadOnly }
func (kustomizeFS) Mkdir(string) error                  { return errReadOnly }
func (kustomizeFS) MkdirAll(string) error               { return errReadOnly }
func (kustomizeFS) RemoveAll(string) error              { return errReadOnly }
func (kustomizeFS) WriteFile(string, []byte) error      { return errReadOnly }
