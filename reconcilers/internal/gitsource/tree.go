package gitsource

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// maxLinks is how many symbolic links one path may lead through.
const maxLinks = 8

// treeFS is a commit's tree as an io/fs file system. Symbolic links are followed inside the tree and refused where
// they lead out of it. Submodules are empty folders.
type treeFS struct {
	root   *object.Tree
	budget *budget
}

// Open implements fs.FS.
func (t treeFS) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	f, err := t.open(name, name, maxLinks)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return f, nil
}

func (t treeFS) open(asked, name string, links int) (fs.File, error) {
	if name == "." {
		return t.folder(asked, t.root), nil
	}
	entry, err := t.root.FindEntry(name)
	if err != nil {
		return nil, notExist(err)
	}
	switch entry.Mode {
	case filemode.Dir:
		sub, err := t.root.Tree(name)
		if err != nil {
			return nil, notExist(err)
		}
		return t.folder(asked, sub), nil
	case filemode.Symlink:
		return t.follow(asked, name, entry, links)
	case filemode.Submodule:
		return t.folder(asked, &object.Tree{}), nil
	}
	return t.file(asked, name, entry)
}

func notExist(err error) error {
	if errors.Is(err, object.ErrEntryNotFound) || errors.Is(err, object.ErrDirectoryNotFound) || errors.Is(err, object.ErrFileNotFound) {
		return fs.ErrNotExist
	}
	return err
}

// follow opens what a symbolic link names.
func (t treeFS) follow(asked, name string, entry *object.TreeEntry, links int) (fs.File, error) {
	if links == 0 {
		return nil, fmt.Errorf("leads through more than %d symbolic links", maxLinks)
	}
	target, err := t.blob(name, entry)
	if err != nil {
		return nil, err
	}
	next := path.Join(path.Dir(name), string(target))
	if path.IsAbs(string(target)) || !fs.ValidPath(next) {
		return nil, fmt.Errorf("the symbolic link leads out of the repository (to %q); put a copy of the file there", clip(string(target)))
	}
	return t.open(asked, next, links-1)
}

func clip(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}

func (t treeFS) file(asked, name string, entry *object.TreeEntry) (fs.File, error) {
	data, err := t.blob(name, entry)
	if err != nil {
		return nil, err
	}
	return &openFile{Reader: bytes.NewReader(data), info: info{name: path.Base(asked), size: int64(len(data)), mode: 0o444}}, nil
}

// blob reads a file or the target of a link, within the budget.
func (t treeFS) blob(name string, entry *object.TreeEntry) ([]byte, error) {
	f, err := t.root.TreeEntryFile(entry)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if err := t.budget.take(name, f.Size); err != nil {
		return nil, err
	}
	r, err := f.Reader()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	defer func() { _ = r.Close() }()
	data, err := io.ReadAll(io.LimitReader(r, MaxFileBytes))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return data, nil
}

func (t treeFS) folder(asked string, tree *object.Tree) fs.File {
	d := &openFolder{info: info{name: path.Base(asked), mode: fs.ModeDir | 0o555}}
	for _, e := range tree.Entries {
		d.entries = append(d.entries, fs.FileInfoToDirEntry(info{name: e.Name, mode: modeOf(e.Mode)}))
	}
	return d
}

func modeOf(m filemode.FileMode) fs.FileMode {
	switch m {
	case filemode.Dir, filemode.Submodule:
		return fs.ModeDir | 0o555
	case filemode.Symlink:
		return fs.ModeSymlink | 0o777
	}
	return 0o444
}

// info is the fs.FileInfo of an entry. The size of an entry that was only listed is 0: it is not read for that.
type info struct {
	name string
	size int64
	mode fs.FileMode
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }

type openFile struct {
	*bytes.Reader
	info info
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }

type openFolder struct {
	info    info
	entries []fs.DirEntry
	at      int
}

func (d *openFolder) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openFolder) Close() error               { return nil }

func (d *openFolder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.name, Err: errors.New("is a folder")}
}

// ReadDir implements fs.ReadDirFile.
func (d *openFolder) ReadDir(n int) ([]fs.DirEntry, error) {
	rest := d.entries[d.at:]
	if n > 0 && len(rest) == 0 {
		return nil, io.EOF
	}
	if n > 0 && n < len(rest) {
		rest = rest[:n]
	}
	d.at += len(rest)
	return append([]fs.DirEntry(nil), rest...), nil
}
