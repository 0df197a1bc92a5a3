package appbundle

import (
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/interlock-dev/interlock/reconcilers/internal/render"
	"github.com/interlock-dev/interlock/reconcilers/internal/stamps"
)

// maxRemembered bounds each part of the memory.
const maxRemembered = 8192

// memory saves work that would come out the same again: rendered trees and the versions of images. It decides nothing,
// and may be emptied at any time.
type memory struct {
	mu     sync.Mutex
	heads  map[types.UID]rendered
	named  map[string]stamps.Named
	images map[imageKey]stamps.Version
}

// rendered is what the newest tree of a bundle rendered to.
type rendered struct {
	key    string
	result render.Result
}

type imageKey struct {
	bundle        types.UID
	series, image string
}

func newMemory() *memory {
	return &memory{heads: map[types.UID]rendered{}, named: map[string]stamps.Named{}, images: map[imageKey]stamps.Version{}}
}

// head returns a copy of what a tree rendered to.
func (m *memory) head(bundle types.UID, key string) (render.Result, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, ok := m.heads[bundle]
	if !ok || h.key != key {
		return render.Result{}, false
	}
	return copyResult(h.result), true
}

func (m *memory) keepHead(bundle types.UID, key string, r render.Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heads[bundle] = rendered{key: key, result: copyResult(r)}
}

func copyResult(r render.Result) render.Result {
	objects := make([]*unstructured.Unstructured, 0, len(r.Objects))
	for _, u := range r.Objects {
		objects = append(objects, u.DeepCopy())
	}
	r.Objects = objects
	return r
}

func (m *memory) namedBy(keys ...string) (stamps.Named, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range keys {
		if n, ok := m.named[key]; ok {
			return n, true
		}
	}
	return stamps.Named{}, false
}

func (m *memory) keepNamed(key string, n stamps.Named) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.named) >= maxRemembered {
		clear(m.named)
	}
	m.named[key] = n
}

// versions returns what is known of a bundle's images in a series.
func (m *memory) versions(bundle types.UID, series string) map[string]stamps.Version {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]stamps.Version{}
	for k, v := range m.images {
		if k.bundle == bundle && k.series == series {
			out[k.image] = v
		}
	}
	return out
}

func (m *memory) keepVersion(bundle types.UID, series, image string, v stamps.Version) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.images) >= maxRemembered {
		clear(m.images)
	}
	m.images[imageKey{bundle, series, image}] = v
}

// forget drops a bundle that is gone.
func (m *memory) forget(bundle types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.heads, bundle)
	for k := range m.images {
		if k.bundle == bundle {
			delete(m.images, k)
		}
	}
}
