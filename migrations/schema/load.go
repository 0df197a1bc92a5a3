package schema

import (
	"errors"
	"io/fs"
)

// Limits of one source of migrations; beyond them loading is refused, so that a source can not exhaust memory.
const (
	// MaxFiles is how many files one source may hold.
	MaxFiles = 4096
	// MaxFileBytes is how large one file may be.
	MaxFileBytes = 1 << 20
	// MaxTotalBytes is how large all files may be together.
	MaxTotalBytes = 16 << 20
)

// Load reads migrations from memory: the base name of a file → its text. The files come back in version order.
// Names that do not end in .sql are ignored, except Go migrations, which are refused.
// An error names the file, the line where there is one, and what to do.
func Load(files map[string]string) ([]File, error) { return nil, errors.New("not loaded") }

// LoadFS reads the *.sql files that lie directly in dir; it follows no folder below it.
func LoadFS(fsys fs.FS, dir string) ([]File, error) { return nil, errors.New("not loaded") }

// Digest is the SHA-256, in hex, over the names and checksums of the files, whatever their order.
func Digest(files []File) string { return "" }

// Prefix is the longest gap-free prefix: the largest version v of tree such that every known version ≤ v is in
// tree too. It is 0 if there is none. Neither list needs an order.
func Prefix(tree []int64, known []int64) int64 { return 0 }
