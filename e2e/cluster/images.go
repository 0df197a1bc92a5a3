package cluster

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path"
	"runtime"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// image is what options change before an image is pushed.
type image struct {
	config v1.Config
	files  map[string][]byte
}

// ImageOption changes an image that PushBinary or PushRootfs makes.
type ImageOption func(*image)

// WithUser runs the image as uid:gid. A binary's default is 65532:65532.
func WithUser(user string) ImageOption { return func(i *image) { i.config.User = user } }

// WithEnv sets environment variables, as NAME=value.
func WithEnv(env ...string) ImageOption {
	return func(i *image) { i.config.Env = append(i.config.Env, env...) }
}

// WithEntrypoint sets the command; a binary's default is the binary.
func WithEntrypoint(command ...string) ImageOption {
	return func(i *image) { i.config.Entrypoint = command }
}

// WithCmd sets the arguments that a pod's args replace.
func WithCmd(args ...string) ImageOption { return func(i *image) { i.config.Cmd = args } }

// WithLabel sets a label of the image.
func WithLabel(key, value string) ImageOption {
	return func(i *image) {
		if i.config.Labels == nil {
			i.config.Labels = map[string]string{}
		}
		i.config.Labels[key] = value
	}
}

// WithFile adds a file, mode 0644, at an absolute path. It makes two images of
// one binary different, too.
func WithFile(path string, content []byte) ImageOption {
	return func(i *image) { i.files[path] = content }
}

// ImageRef is the reference that name:tag has in this cluster's registry.
func (c *Cluster) ImageRef(name, tag string) string {
	return registryHost + "/" + name + ":" + tag
}

// PushBinary makes an image of one static binary on an empty base, with the
// cluster's CA certificate as the only trusted one, and returns its reference for
// pods. The binary is /NAME and the entry point. The same content gives the same
// digest.
//
// A node that has pulled a tag keeps it (imagePullPolicy IfNotPresent): changed
// content wants a new tag.
func (c *Cluster) PushBinary(ctx context.Context, name, tag, binaryPath string, opts ...ImageOption) (string, error) {
	if err := checkStatic(binaryPath); err != nil {
		return "", err
	}
	bin, err := os.ReadFile(binaryPath)
	if err != nil {
		return "", err
	}
	base := path.Base(name)
	img := &image{files: map[string][]byte{
		"/etc/passwd":                        []byte("root:x:0:0::/:\nnonroot:x:65532:65532::/:\n"),
		"/etc/group":                         []byte("root:x:0:\nnonroot:x:65532:\n"),
		"/etc/nsswitch.conf":                 []byte("hosts: files dns\n"),
		"/etc/ssl/certs/ca-certificates.crt": c.ca,
	}}
	img.config = v1.Config{User: "65532:65532", Entrypoint: []string{"/" + base}, WorkingDir: "/"}
	for _, o := range opts {
		o(img)
	}
	content := binaryTar(base, bin, img.files)
	layer, err := newRawLayer(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	})
	if err != nil {
		return "", err
	}
	return c.push(ctx, name, tag, img, layer)
}

// rawLayer is a layer that is not compressed: the registry is on the same machine,
// so compressing costs more than it saves.
type rawLayer struct {
	open   func() (io.ReadCloser, error)
	digest v1.Hash
	size   int64
}

// newRawLayer reads the tar file once, for its digest.
func newRawLayer(open func() (io.ReadCloser, error)) (*rawLayer, error) {
	r, err := open()
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // read only
	digest, size, err := v1.SHA256(r)
	if err != nil {
		return nil, err
	}
	return &rawLayer{open: open, digest: digest, size: size}, nil
}

func (l *rawLayer) Digest() (v1.Hash, error)             { return l.digest, nil }
func (l *rawLayer) DiffID() (v1.Hash, error)             { return l.digest, nil }
func (l *rawLayer) Compressed() (io.ReadCloser, error)   { return l.open() }
func (l *rawLayer) Uncompressed() (io.ReadCloser, error) { return l.open() }
func (l *rawLayer) Size() (int64, error)                 { return l.size, nil }
func (l *rawLayer) MediaType() (types.MediaType, error)  { return types.OCIUncompressedLayer, nil }

// checkStatic refuses a binary that would not start on an empty base.
func checkStatic(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("%s is no Linux binary: %w", path, err)
	}
	defer f.Close() //nolint:errcheck // read only
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s needs a dynamic linker, which an empty image has not; build it with CGO_ENABLED=0", path)
		}
	}
	return nil
}

// binaryTar is the same for the same content: no times, no names of users.
func binaryTar(name string, bin []byte, files map[string][]byte) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	dirs := map[string]bool{"/": true}
	add := func(h *tar.Header, b []byte) {
		h.ModTime, h.Format = time.Unix(0, 0), tar.FormatPAX
		if err := errors.Join(w.WriteHeader(h), writeAll(w, b)); err != nil {
			panic(err) // into memory, with the size just given
		}
	}
	var parents func(p string)
	parents = func(p string) {
		if d := path.Dir(p); !dirs[d] {
			parents(d)
			dirs[d] = true
			add(&tar.Header{Typeflag: tar.TypeDir, Name: d[1:] + "/", Mode: 0o755}, nil)
		}
	}
	add(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}, nil)
	dirs["/tmp"] = true
	for _, p := range slices.Sorted(maps.Keys(files)) {
		clean := path.Clean("/" + p)
		parents(clean)
		add(&tar.Header{Typeflag: tar.TypeReg, Name: clean[1:], Mode: 0o644, Size: int64(len(files[p]))}, files[p])
	}
	add(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(len(bin))}, bin)
	if err := w.Close(); err != nil {
		panic(err) // into memory
	}
	return buf.Bytes()
}

func writeAll(w io.Writer, b []byte) error {
	_, err := w.Write(b)
	return err
}

func (c *Cluster) push(ctx context.Context, repo, tag string, img *image, layers ...v1.Layer) (string, error) {
	ref := c.ImageRef(repo, tag)
	r, err := name.NewTag(ref, name.StrictValidation)
	if err != nil {
		return "", err
	}
	out := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	out = mutate.ConfigMediaType(out, types.OCIConfigJSON)
	if out, err = mutate.AppendLayers(out, layers...); err != nil {
		return "", err
	}
	file, err := out.ConfigFile()
	if err != nil {
		return "", err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", runtime.GOARCH, img.config
	file.Created = v1.Time{Time: time.Unix(0, 0)}
	if out, err = mutate.ConfigFile(out, file); err != nil {
		return "", err
	}
	if err := remote.Write(r, out, remote.WithContext(ctx), remote.WithTransport(c.registryTransport())); err != nil {
		return "", fmt.Errorf("push %s: %w", ref, err)
	}
	return ref, nil
}

// registryTransport trusts the cluster's authority and no proxy.
func (c *Cluster) registryTransport() http.RoundTripper {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(c.ca)
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
}
