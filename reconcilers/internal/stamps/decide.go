package stamps

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/reconcilers/internal/podspec"
)

// Series is a history of migrations, as far as stamping needs it.
type Series struct {
	// Name of the series.
	Name string
	// Secrets of its Database: a container that takes one is a reader.
	Secrets []string
	// Exempt are service accounts of the Database whose pods carry no stamp.
	Exempt []string
	// Owned: its migrations are in this bundle's repository, so stamps can be derived.
	Owned bool
	// Versions that are known of images; only for owned series.
	Versions map[string]Version
	// Min is the committed fence: what a workload that starts now may rely on. Only for used series.
	Min int64
	// Release names the workloads that hold the next contract step, and the version that it needs.
	Release map[Key]int64
}

// Version is what is known of an image.
type Version struct {
	Version int64
	// Why says where that is known from, for the receipt.
	Why string
}

// Input is everything that stamping depends on.
type Input struct {
	Series []Series
	// Templates as they are in Git.
	Templates []*Template
	// Live are the templates as they are in the cluster.
	Live map[Key]*Template
}

// Stamp is the version of one series on one template.
type Stamp struct {
	Key
	Series  string
	Version int64
	// Why says what it rests on.
	Why string
	// Kept: the template's images did not change, so its stamp did not either.
	Kept bool
}

func (s Stamp) String() string { return fmt.Sprintf("%s: %s@%d", s.Key, s.Series, s.Version) }

// Result is what Decide decided.
type Result struct {
	// Stamps in order of templates and series.
	Stamps []Stamp
	// Missing are the images, by series, whose version has to be found out first. While there are any, the rest is
	// not complete.
	Missing map[string][]string
	// Declared are the versions, by series and image, that Git declares for images that are new.
	Declared map[string]map[string]int64

	labels      map[Key]map[string]*string
	annotations map[Key]map[string]*string
}

// declaredInGit is why a stamp that Git declares is what it is.
const declaredInGit = "declared"

// declare notes what Git says of images.
func (r *Result) declare(s Series, version int64, images map[string]string) {
	if r.Declared[s.Name] == nil {
		r.Declared[s.Name] = map[string]int64{}
	}
	for _, image := range images {
		if before, ok := r.Declared[s.Name][image]; !ok || version < before {
			r.Declared[s.Name][image] = version
		}
	}
}

// Decide stamps every template. Its errors name the workload and what to change in Git.
func Decide(in Input) (Result, error) {
	r := Result{Missing: map[string][]string{}, Declared: map[string]map[string]int64{}, labels: map[Key]map[string]*string{}, annotations: map[Key]map[string]*string{}}
	for _, t := range in.Templates {
		if err := in.template(t, &r); err != nil {
			return Result{}, err
		}
	}
	for series, images := range r.Missing {
		r.Missing[series] = slices.Compact(slices.Sorted(slices.Values(images)))
	}
	return r, nil
}

// template stamps one template with every series that it reads or declares.
func (in Input) template(t *Template, r *Result) error {
	labels := map[string]*string{}
	images := map[string]string{}
	kept := true
	for _, s := range slices.Concat(in.Series, in.undeclaredSeries(t)) {
		readers := in.readers(s, t)
		stamp, err := in.stamp(s, t, readers, r)
		if err != nil {
			return err
		}
		label := v1alpha1.StampLabel(s.Name)
		if stamp == nil {
			if _, ok := t.Labels[label]; ok {
				labels[label] = nil
			}
			continue
		}
		r.Stamps = append(r.Stamps, *stamp)
		value := strconv.FormatInt(stamp.Version, 10)
		labels[label] = &value
		maps.Copy(images, readers)
		kept = kept && stamp.Kept
	}
	if err := in.finish(t, labels, images, r); err != nil {
		return err
	}
	if live := in.Live[t.Key]; kept && len(images) > 0 && live != nil {
		if said, ok := live.Annotations[v1alpha1.StampImagesAnnotation]; ok {
			// Else an annotation that is written another way would restart the pods.
			r.annotations[t.Key] = map[string]*string{v1alpha1.StampImagesAnnotation: &said}
		}
	}
	return nil
}

// finish writes the fixed label and the annotation that say what the stamps speak for.
func (in Input) finish(t *Template, labels map[string]*string, images map[string]string, r *Result) error {
	stamped := false
	for _, v := range labels {
		stamped = stamped || v != nil
	}
	r.labels[t.Key] = labels
	if !stamped {
		// A stamp that is withheld leaves the template as it is in the cluster.
		labels[v1alpha1.StampedLabel] = nil
		r.annotations[t.Key] = map[string]*string{v1alpha1.StampImagesAnnotation: nil}
		return nil
	}
	yes := "true"
	labels[v1alpha1.StampedLabel] = &yes
	said, ok := t.Annotations[v1alpha1.StampImagesAnnotation]
	if !ok {
		value := v1alpha1.FormatStampImages(images)
		r.annotations[t.Key] = map[string]*string{v1alpha1.StampImagesAnnotation: &value}
		return nil
	}
	parsed := v1alpha1.ParseStampImages(said)
	for _, name := range slices.Sorted(maps.Keys(images)) {
		if parsed[name] != images[name] {
			return fmt.Errorf("%s: its stamp speaks for image %q of container %q (annotation %s), the template has %q; change tag and stamp together",
				t.Key, parsed[name], name, v1alpha1.StampImagesAnnotation, images[name])
		}
	}
	return nil
}

// stamp decides one series of one template; nil for none.
func (in Input) stamp(s Series, t *Template, readers map[string]string, r *Result) (*Stamp, error) {
	text, declared := t.Labels[v1alpha1.StampLabel(s.Name)]
	if len(readers) == 0 {
		return nil, nil
	}
	var want *Stamp
	live, liveVersion, hasStamp := in.unchanged(s, t, readers)
	need, released := s.Release[t.Key]
	switch {
	case declared:
		version, err := in.declaredVersion(s, t, text, readers)
		if err != nil {
			return nil, err
		}
		want = &Stamp{Key: t.Key, Series: s.Name, Version: version, Why: declaredInGit}
		if s.Owned && !live {
			r.declare(s, version, readers)
		}
	case live && !released:
	case s.Owned:
		want = derive(s, t, readers, r)
	default:
		want = &Stamp{Key: t.Key, Series: s.Name, Version: s.Min, Why: "the fence of the series at its start"}
	}
	if !live {
		return want, nil
	}
	return withhold(s, t, want, liveVersion, hasStamp, released, need), nil
}

// withhold keeps the stamp of a template whose images did not change: a label alone would restart its pods. It lets a
// stamp through that the next contract step waits for, and one that says the image is older than it was thought.
func withhold(s Series, t *Template, want *Stamp, liveVersion int64, hasStamp, released bool, need int64) *Stamp {
	var kept *Stamp
	if hasStamp {
		kept = &Stamp{Key: t.Key, Series: s.Name, Version: liveVersion, Why: "kept: its images did not change", Kept: true}
	}
	switch {
	case want == nil:
		return kept
	case hasStamp && want.Version <= liveVersion:
		if want.Version < liveVersion && want.Why == declaredInGit {
			return want
		}
		return kept
	case released && want.Version >= need:
		return want
	}
	return kept
}

// unchanged says whether the template runs in the cluster with the same reader images, and with which stamp.
func (in Input) unchanged(s Series, t *Template, readers map[string]string) (same bool, version int64, stamped bool) {
	live := in.Live[t.Key]
	if live == nil || !maps.Equal(imagesOf(live, readers), readers) {
		return false, 0, false
	}
	version, err := parseVersion(live.Labels[v1alpha1.StampLabel(s.Name)])
	if err == nil && !speaksFor(live, readers) {
		return false, 0, false // a container began to read: the stamp was decided without it
	}
	return true, version, err == nil
}

// speaksFor says whether the stamps of a template were decided with these reader images.
func speaksFor(t *Template, readers map[string]string) bool {
	said := v1alpha1.ParseStampImages(t.Annotations[v1alpha1.StampImagesAnnotation])
	for name, image := range readers {
		if said[name] != image {
			return false
		}
	}
	return true
}

// imagesOf returns the images that a template has for the named containers.
func imagesOf(t *Template, names map[string]string) map[string]string {
	all, out := podspec.Images(t.Spec), map[string]string{}
	for name := range names {
		if image, ok := all[name]; ok {
			out[name] = image
		}
	}
	return out
}

func parseVersion(text string) (int64, error) {
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < 0 || strconv.FormatInt(v, 10) != text {
		return 0, fmt.Errorf("%q is not a version", text)
	}
	return v, nil
}

// declaredVersion reads a stamp from Git. Where the image is known to be older and nothing says that the stamp speaks
// for that very image, only the tag was set back.
func (in Input) declaredVersion(s Series, t *Template, text string, readers map[string]string) (int64, error) {
	version, err := parseVersion(text)
	if err != nil {
		return 0, fmt.Errorf("%s: label %s: %w; it is the number of the newest migration that the image knows", t.Key, v1alpha1.StampLabel(s.Name), err)
	}
	if _, said := t.Annotations[v1alpha1.StampImagesAnnotation]; said {
		return version, nil
	}
	for _, name := range slices.Sorted(maps.Keys(readers)) {
		if known, ok := s.Versions[readers[name]]; ok && known.Version < version {
			return 0, fmt.Errorf("%s: declares %s@%d, but image %s is known to be for version %d (%s); set the stamp back with the tag, or, if it is right, say so with the annotation %s: %q",
				t.Key, s.Name, version, readers[name], known.Version, known.Why, v1alpha1.StampImagesAnnotation, v1alpha1.FormatStampImages(readers))
		}
	}
	return version, nil
}

// derive takes the minimum over the reader images; images that are not known yet are reported as missing.
func derive(s Series, t *Template, readers map[string]string, r *Result) *Stamp {
	var want *Stamp
	for _, name := range slices.Sorted(maps.Keys(readers)) {
		image := readers[name]
		known, ok := s.Versions[image]
		if !ok {
			r.Missing[s.Name] = append(r.Missing[s.Name], image)
			continue
		}
		if want == nil || known.Version < want.Version {
			want = &Stamp{Key: t.Key, Series: s.Name, Version: known.Version, Why: fmt.Sprintf("image %s, %s", image, known.Why)}
		}
	}
	return want
}

// readers returns the containers of a template that count for a series, with their images.
func (in Input) readers(s Series, t *Template) map[string]string {
	if slices.Contains(s.Exempt, t.Spec.ServiceAccountName) && t.Spec.ServiceAccountName != "" {
		return nil
	}
	if _, declared := t.Labels[v1alpha1.StampLabel(s.Name)]; declared {
		if readers := podspec.ReaderContainers(t.Spec, s.Secrets); len(readers) > 0 {
			return readers
		}
		return podspec.Images(t.Spec)
	}
	if !in.anyReader(s) {
		return podspec.Images(t.Spec)
	}
	return podspec.ReaderContainers(t.Spec, s.Secrets)
}

// anyReader says whether any container of the bundle is known to read the series.
func (in Input) anyReader(s Series) bool {
	return slices.ContainsFunc(in.Templates, func(t *Template) bool {
		return len(podspec.ReaderContainers(t.Spec, s.Secrets)) > 0
	})
}

// undeclaredSeries are series that a template has a stamp of in Git and that the bundle's spec does not name.
func (in Input) undeclaredSeries(t *Template) []Series {
	var out []Series
	for _, label := range slices.Sorted(maps.Keys(t.Labels)) {
		key, ok := strings.CutPrefix(label, v1alpha1.StampLabelPrefix)
		if ok && !slices.ContainsFunc(in.Series, func(s Series) bool { return v1alpha1.SeriesKey(s.Name) == key }) {
			out = append(out, Series{Name: key})
		}
	}
	return out
}
