package appbundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/migrations/schema"
	"github.com/interlock-dev/interlock/reconcilers/internal/gitsource"
	"github.com/interlock-dev/interlock/reconcilers/internal/halt"
	"github.com/interlock-dev/interlock/reconcilers/internal/podspec"
	"github.com/interlock-dev/interlock/reconcilers/internal/render"
	"github.com/interlock-dev/interlock/reconcilers/internal/stamps"
)

// maxBrokenText is how much of a commit that does not render is looked through.
const maxBrokenText = 1 << 20

// stamp decides which version every pod template is for, and writes it onto the rendered objects.
func (r *Reconciler) stamp(ctx context.Context, s *scope) error {
	input, err := r.stampInput(ctx, s)
	if err != nil {
		return err
	}
	result, err := stamps.Decide(input)
	if err != nil {
		return stall(ReasonStampInvalid, "%v", err)
	}
	if r.isNews(s, result) {
		if err := r.learn(ctx, s, result); err != nil {
			return err
		}
		for i := range input.Series {
			input.Series[i].Versions = r.memory.versions(s.obj.UID, input.Series[i].Name)
		}
		if result, err = stamps.Decide(input); err != nil {
			return stall(ReasonStampInvalid, "%v", err)
		}
	}
	for series, images := range result.Missing {
		return stall(ReasonStampUnknown, "for which version of series %s the image %s was built can not be derived: no commit of the history names it; declare it with the label %s on the pod template",
			series, images[0], v1alpha1.StampLabel(series))
	}
	s.stamps, s.live = result, input.Live
	return result.Write(inNamespace(s.objects, s.obj.Namespace))
}

// stampInput collects what stamping depends on.
func (r *Reconciler) stampInput(ctx context.Context, s *scope) (stamps.Input, error) {
	in := stamps.Input{Live: map[stamps.Key]*stamps.Template{}}
	for _, o := range s.owned {
		in.Series = append(in.Series, stamps.Series{
			Name: o.spec.Series, Secrets: o.db.Spec.Readers.Secrets, Exempt: o.db.Spec.Readers.ExemptServiceAccounts,
			Owned: true, Versions: r.memory.versions(s.obj.UID, o.spec.Series), Release: released(o.sm, o.files),
		})
	}
	for _, u := range s.used {
		in.Series = append(in.Series, stamps.Series{
			Name: u.name, Secrets: u.db.Spec.Readers.Secrets, Exempt: u.db.Spec.Readers.ExemptServiceAccounts,
			Min: u.sm.Status.Fence.Committed, Release: released(u.sm, nil),
		})
	}
	for _, u := range inNamespace(s.objects, s.obj.Namespace) {
		t, err := stamps.TemplateOf(u)
		if err != nil {
			return in, stall(string(render.BuildFailed), "%v", err)
		}
		if t == nil {
			continue
		}
		in.Templates = append(in.Templates, t)
		live, err := r.liveTemplate(ctx, s, u)
		if err != nil {
			return in, err
		}
		if live != nil {
			in.Live[t.Key] = live
		}
	}
	return in, nil
}

// inNamespace returns the objects of one namespace: stamps speak of its series only.
func inNamespace(objects []*unstructured.Unstructured, namespace string) []*unstructured.Unstructured {
	return slices.DeleteFunc(slices.Clone(objects), func(u *unstructured.Unstructured) bool { return u.GetNamespace() != namespace })
}

// liveTemplate reads the pod template as it is in the cluster; nil if there is none.
func (r *Reconciler) liveTemplate(ctx context.Context, s *scope, u *unstructured.Unstructured) (*stamps.Template, error) {
	now := &unstructured.Unstructured{}
	now.SetGroupVersionKind(u.GroupVersionKind())
	err := s.own.Client().Get(ctx, client.ObjectKeyFromObject(u), now)
	if apierrors.IsNotFound(err) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return stamps.TemplateOf(now)
}

// released names the workloads that hold the next contract step, and the version that it needs of them.
func released(sm *v1alpha1.SchemaMigration, files []schema.File) map[stamps.Key]int64 {
	if sm == nil {
		return nil
	}
	i := slices.IndexFunc(sm.Status.Steps, func(st v1alpha1.SchemaStep) bool {
		return st.Phase == string(schema.PhaseContract) && st.State == "Waiting"
	})
	if i < 0 {
		return nil
	}
	need := sm.Status.Steps[i].Version
	for _, f := range files {
		if f.Version == need {
			need = f.NeedsReaders()
			break
		}
	}
	out := map[stamps.Key]int64{}
	for _, h := range sm.Status.Holders {
		out[stamps.Key{Kind: h.Kind, Name: h.Name}] = need
	}
	return out
}

// isNews says whether there are images that nothing is known of yet.
func (r *Reconciler) isNews(s *scope, result stamps.Result) bool {
	if len(result.Missing) > 0 {
		return true
	}
	for series, images := range result.Declared {
		known := r.memory.versions(s.obj.UID, series)
		for image := range images {
			if _, ok := known[image]; !ok {
				return true
			}
		}
	}
	return false
}

// learn asks the journals for images that are new here, derives from the history those that the journals do not know,
// and lets the journals remember all of them.
func (r *Reconciler) learn(ctx context.Context, s *scope, result stamps.Result) error {
	var unknown []string
	known := map[string]stamps.Known{}
	for _, o := range s.owned {
		name := o.spec.Series
		if len(result.Missing[name])+len(result.Declared[name]) == 0 {
			continue
		}
		k, err := r.Images.Known(ctx, o.db, name)
		if err != nil {
			return halt.Retry(5*time.Second, ReasonDatabaseUnavailable, fmt.Errorf("Database %q: %w", o.db.Name, err))
		}
		known[name] = k
		for image, version := range k.Images {
			r.memory.keepVersion(s.obj.UID, name, image, stamps.Version{Version: version, Why: "known from the journal"})
		}
		for _, image := range result.Missing[name] {
			if _, ok := k.Images[image]; !ok {
				unknown = append(unknown, image)
			}
		}
	}
	oldest := map[string]gitsource.Commit{}
	if len(unknown) > 0 {
		var err error
		if oldest, err = stamps.Oldest(s.snapshot.History(), unknown, func(c gitsource.Commit) (stamps.Named, error) { return r.namedIn(s, c) }); err != nil {
			return stall(ReasonStampUnknown, "for which version the image %s was built can not be derived: %v; declare it with a label %s<series> on the pod template",
				unknown[0], err, v1alpha1.StampLabelPrefix)
		}
	}
	for _, o := range s.owned {
		if k, asked := known[o.spec.Series]; asked {
			if err := r.remember(ctx, s, o, k, result, oldest); err != nil {
				return err
			}
		}
	}
	return nil
}

// remember writes what was found out into the journal of a series. What the journal has with a lower version holds.
func (r *Reconciler) remember(ctx context.Context, s *scope, o *ownedSeries, known stamps.Known, result stamps.Result, oldest map[string]gitsource.Commit) error {
	var images []stamps.Image
	why := map[string]stamps.Version{}
	all := slices.Concat(known.Versions, o.versions())
	for _, image := range result.Missing[o.spec.Series] {
		commit, found := oldest[image]
		if _, ok := known.Images[image]; ok || !found {
			continue
		}
		tree, err := commit.FS()
		if err != nil {
			return err
		}
		version := stamps.VersionAt(tree, o.dir, all)
		why[image] = stamps.Derived(version, commit.ID())
		images = append(images, stamps.Image{Image: image, Version: version, Commit: commit.ID(), Revision: s.revision})
	}
	for image, version := range result.Declared[o.spec.Series] {
		if _, ok := known.Images[image]; !ok {
			why[image] = stamps.Version{Version: version, Why: "declared before"}
			images = append(images, stamps.Image{Image: image, Version: version, Revision: s.revision})
		}
	}
	if len(images) == 0 {
		return nil
	}
	held, err := r.Images.Record(ctx, o.db, o.spec.Series, images)
	if err != nil {
		return halt.Retry(5*time.Second, ReasonDatabaseUnavailable, fmt.Errorf("Database %q: %w", o.db.Name, err))
	}
	for image, version := range held {
		v := why[image]
		if v.Version = version; version < why[image].Version {
			v.Why = "known from the journal"
		}
		r.memory.keepVersion(s.obj.UID, o.spec.Series, image, v)
	}
	return nil
}

// namedIn says which images the bundle names at a commit.
func (r *Reconciler) namedIn(s *scope, c gitsource.Commit) (stamps.Named, error) {
	dir, err := render.Clean(s.obj.Spec.Path)
	if err != nil {
		return stamps.Named{}, err
	}
	key := func(of string) string { return string(s.obj.UID) + " " + dir + " " + c.TreeHash(of) }
	if n, ok := r.memory.namedBy(key("."), key(dir)); ok {
		return n, nil
	}
	tree, err := c.FS()
	if err != nil {
		return stamps.Named{}, err
	}
	result, err := render.Render(tree, dir)
	var own *render.Error
	switch {
	case errors.As(err, &own) && !tooLarge(err):
		where := dir
		if own.Reason == render.PathNotFound {
			where = "."
		}
		return stamps.Named{Broken: true, Text: textBelow(tree, where)}, nil
	case err != nil:
		return stamps.Named{}, err
	}
	n := stamps.Named{Images: imagesOf(result.Objects)}
	if result.Outside {
		r.memory.keepNamed(key("."), n)
	} else {
		r.memory.keepNamed(key(dir), n)
	}
	return n, nil
}

// imagesOf collects the images of every container.
func imagesOf(objects []*unstructured.Unstructured) map[string]bool {
	out := map[string]bool{}
	for _, u := range objects {
		t, err := stamps.TemplateOf(u)
		if err != nil || t == nil {
			continue
		}
		for _, image := range podspec.Images(t.Spec) {
			out[image] = true
		}
	}
	return out
}

// textBelow returns the text of the YAML files below a folder, up to a limit.
func textBelow(tree fs.FS, dir string) string {
	var b strings.Builder
	_ = fs.WalkDir(tree, dir, func(name string, d fs.DirEntry, err error) error {
		if b.Len() > maxBrokenText {
			return fs.SkipAll
		}
		if err == nil && !d.IsDir() && (strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")) {
			// What can not be read adds nothing.
			data, _ := fs.ReadFile(tree, name)
			b.Write(data)
			b.WriteByte('\n')
		}
		return nil
	})
	return b.String()
}
