package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of one source of migrations; beyond them loading is refused, so that a source can not exhaust memory.
const (
	// MaxFiles is how many migrations one source may hold.
	MaxFiles = 4096
	// MaxFileBytes is how large one file may be.
	MaxFileBytes = 1 << 20
	// MaxTotalBytes is how large all files may be together.
	MaxTotalBytes = 16 << 20
)

// Load reads migrations from memory: the base name of a file → its text. The files come back in version order.
// Names that do not end in .sql are ignored, except Go migrations, which are refused.
// An error names the file, the line where there is one, and what to do.
func Load(files map[string]string) ([]File, error) {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	names, err := migrationNames(names)
	if err != nil {
		return nil, err
	}
	return load(names, func(name string) (string, error) {
		if len(files[name]) > MaxFileBytes {
			return "", tooLarge(name)
		}
		return files[name], nil
	})
}

// LoadFS reads the *.sql files that lie directly in dir; it follows no folder below it and opens nothing but
// regular files.
func LoadFS(fsys fs.FS, dir string) ([]File, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("%s: the folder of migrations can not be read: %w; correct the path", dir, err)
	}
	var names []string
	for _, entry := range entries {
		if entry.IsDir() {
			continue
		}
		if strings.HasSuffix(entry.Name(), ".sql") && !entry.Type().IsRegular() {
			return nil, fmt.Errorf("%s: is not a regular file; put the text of the migration there, not a link to it", entry.Name())
		}
		names = append(names, entry.Name())
	}
	if names, err = migrationNames(names); err != nil {
		return nil, err
	}
	return load(names, func(name string) (string, error) { return readBounded(fsys, path.Join(dir, name), name) })
}

// readBounded reads one file, but never more than MaxFileBytes of it.
func readBounded(fsys fs.FS, full, name string) (string, error) {
	f, err := fsys.Open(full)
	if err != nil {
		return "", fmt.Errorf("%s: can not be opened: %w", name, err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, MaxFileBytes+1))
	if err != nil {
		return "", fmt.Errorf("%s: can not be read: %w", name, err)
	}
	if len(data) > MaxFileBytes {
		return "", tooLarge(name)
	}
	return string(data), nil
}

func tooLarge(name string) error {
	return fmt.Errorf("%s: is larger than %d bytes; split it, and load bulk data by other means", name, MaxFileBytes)
}

// migrationNames keeps the names that are migrations, sorted, and refuses migrations written in Go.
func migrationNames(names []string) ([]string, error) {
	var kept []string
	for _, name := range names {
		switch {
		case strings.HasSuffix(name, ".sql"):
			kept = append(kept, name)
		case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
			if _, err := versionOf(name); err == nil {
				return nil, fmt.Errorf("%s: is a Go migration, and what it does can not be judged before it runs; write it as SQL", name)
			}
		}
	}
	if len(kept) > MaxFiles {
		return nil, fmt.Errorf("%d migrations are more than %d; squash the old ones into a baseline", len(kept), MaxFiles)
	}
	slices.Sort(kept)
	return kept, nil
}

// load parses every name; read returns the text of one.
func load(names []string, read func(string) (string, error)) ([]File, error) {
	files := make([]File, 0, len(names))
	byVersion := map[int64]string{}
	total := 0
	for _, name := range names {
		version, err := versionOf(name)
		if err != nil {
			return nil, err
		}
		if other, taken := byVersion[version]; taken {
			return nil, fmt.Errorf("%s: has version %d, and so has %s; give one of them the next free number", name, version, other)
		}
		byVersion[version] = name
		text, err := read(name)
		if err != nil {
			return nil, err
		}
		if total += len(text); total > MaxTotalBytes {
			return nil, fmt.Errorf("%s: with it the migrations are larger than %d bytes together; squash the old ones into a baseline", name, MaxTotalBytes)
		}
		file, err := parseFile(version, name, text)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	slices.SortFunc(files, func(a, b File) int {
		if a.Version < b.Version {
			return -1
		}
		return 1
	})
	return files, nil
}

// versionOf is the number before the first underscore of a file's name.
func versionOf(name string) (int64, error) {
	if path.Base(name) != name || strings.ContainsAny(name, "\\\x00\n\r") {
		return 0, fmt.Errorf("%q: is not the base name of a file; use <version>_<name>.sql", name)
	}
	number, _, found := strings.Cut(name, "_")
	if !found {
		return 0, fmt.Errorf("%s: has no version; name it <version>_<name>.sql", name)
	}
	if strings.Trim(number, "0123456789") != "" || number == "" {
		return 0, fmt.Errorf("%s: %q is not a version; name it <version>_<name>.sql", name, number)
	}
	version, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: the version is too large; the largest is %d", name, int64(1<<63-1))
	}
	if version < 1 {
		return 0, fmt.Errorf("%s: version 0 stands for a database without migrations; start at 1", name)
	}
	return version, nil
}

func parseFile(version int64, name, text string) (File, error) {
	sum := sha256.Sum256([]byte(text))
	file := File{Version: version, Name: name, Source: text, Checksum: hex.EncodeToString(sum[:])}
	if err := checkText(name, text); err != nil {
		return File{}, err
	}
	p := parser{file: &file}
	if err := p.parse(text); err != nil {
		var at *lineError
		if errors.As(err, &at) {
			return File{}, fmt.Errorf("%s:%d: %s; %s", name, at.line, at.what, at.fix)
		}
		return File{}, fmt.Errorf("%s: %w", name, err)
	}
	return file, nil
}

// checkText refuses what PostgreSQL and the parser would read differently: behind a NUL byte the parser sees nothing.
func checkText(name, text string) error {
	if i := strings.IndexByte(text, 0); i >= 0 {
		return fmt.Errorf("%s:%d: holds a NUL byte; remove it", name, 1+strings.Count(text[:i], "\n"))
	}
	if strings.HasPrefix(text, "\ufeff") {
		return fmt.Errorf("%s:1: begins with a byte order mark; save it as plain UTF-8", name)
	}
	if utf8.ValidString(text) {
		return nil
	}
	for n, line := range strings.Split(text, "\n") {
		if !utf8.ValidString(line) {
			return fmt.Errorf("%s:%d: is not UTF-8; save it as UTF-8", name, n+1)
		}
	}
	return fmt.Errorf("%s: is not UTF-8; save it as UTF-8", name)
}

// Digest is the SHA-256, in hex, over the names and checksums of the files, whatever their order.
func Digest(files []File) string {
	lines := make([]string, 0, len(files))
	for _, f := range files {
		lines = append(lines, f.Name+"\x00"+f.Checksum+"\n")
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	return hex.EncodeToString(sum[:])
}

// Prefix is the longest gap-free prefix: the largest version v of tree such that every known version ≤ v is in
// tree too. It is 0 if there is none. Neither list needs an order.
func Prefix(tree []int64, known []int64) int64 {
	in := make(map[int64]bool, len(tree))
	for _, v := range tree {
		in[v] = true
	}
	gap, found := int64(0), false
	for _, v := range known {
		if !in[v] && (!found || v < gap) {
			gap, found = v, true
		}
	}
	best := int64(0)
	for _, v := range tree {
		if v > best && (!found || v < gap) {
			best = v
		}
	}
	return best
}
