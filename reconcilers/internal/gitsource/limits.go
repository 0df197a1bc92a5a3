package gitsource

import (
	"io"

	"github.com/go-git/go-git/v5/storage/filesystem"
)

// Limits of one source; beyond them fetching or reading fails, so that a repository can not exhaust the operator.
const (
	// MaxPackBytes is how much one fetch may bring.
	MaxPackBytes = 512 << 20
	// MaxCloneBytes is how large a cached clone may grow before it is made anew.
	MaxCloneBytes = 2 * MaxPackBytes
	// MaxFileBytes is how large one file may be that is read from a tree.
	MaxFileBytes = 4 << 20
	// MaxReadBytes is how much may be read from one tree.
	MaxReadBytes = 64 << 20
	// MaxReadFiles is how many files may be read from one tree.
	MaxReadFiles = 10_000
	// MaxHistory is how many first-parent commits a history goes back.
	MaxHistory = 20_000
)

// boundedStorage is a repository on disk that takes packs up to a limit.
type boundedStorage struct {
	*filesystem.Storage
	limit int64
}

// PackfileWriter is where a fetch puts what the server sends.
func (s boundedStorage) PackfileWriter() (io.WriteCloser, error) {
	w, err := s.Storage.PackfileWriter()
	if err != nil {
		return nil, err
	}
	return &boundedWriter{WriteCloser: w, left: s.limit}, nil
}

type boundedWriter struct {
	io.WriteCloser
	left int64
}

func (w *boundedWriter) Write(p []byte) (int, error) {
	if w.left -= int64(len(p)); w.left < 0 {
		return 0, errTooLarge
	}
	return w.WriteCloser.Write(p)
}

// budget is what may still be read from one tree.
type budget struct {
	files int
	bytes int64
}

func (b *budget) take(name string, size int64) error {
	b.files++
	b.bytes += size
	switch {
	case size > MaxFileBytes:
		return fail(SourceTooLarge, errTooLarge, "%s is larger than %d MiB; keep it out of the bundle", name, MaxFileBytes>>20)
	case b.files > MaxReadFiles:
		return fail(SourceTooLarge, errTooLarge, "%s is file number %d of the bundle, more than %d; split the bundle", name, b.files, MaxReadFiles)
	case b.bytes > MaxReadBytes:
		return fail(SourceTooLarge, errTooLarge, "with %s the bundle is larger than %d MiB; split it", name, MaxReadBytes>>20)
	}
	return nil
}
