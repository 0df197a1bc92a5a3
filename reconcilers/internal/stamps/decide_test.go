package stamps

import (
	"maps"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

const secret = "shop-app"

// reads is a container that takes the Secret of the database.
func reads(name, image string) corev1.Container {
	return corev1.Container{Name: name, Image: image, EnvFrom: []corev1.EnvFromSource{{
		SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: secret}}}}}
}

// plain is a container without the Secret.
func plain(name, image string) corev1.Container { return corev1.Container{Name: name, Image: image} }

func deployment(name string, containers ...corev1.Container) *Template {
	return &Template{Key: Key{"Deployment", name}, Labels: map[string]string{"app": name}, Annotations: map[string]string{},
		Spec: corev1.PodSpec{Containers: containers}}
}

func (t *Template) with(labels ...string) *Template {
	for i := 0; i < len(labels); i += 2 {
		t.Labels[labels[i]] = labels[i+1]
	}
	return t
}

func (t *Template) says(images string) *Template {
	t.Annotations[v1alpha1.StampImagesAnnotation] = images
	return t
}

func shop(versions map[string]int64) Series {
	s := Series{Name: "shop", Secrets: []string{secret}, Owned: true, Versions: map[string]Version{}}
	for image, v := range versions {
		s.Versions[image] = Version{Version: v, Why: "known"}
	}
	return s
}

func live(list ...*Template) map[Key]*Template {
	out := map[Key]*Template{}
	for _, t := range list {
		out[t.Key] = t
	}
	return out
}

const shopLabel = "schema.interlock.dev/shop"

func TestDecide(t *testing.T) {
	billing := Series{Name: "billing", Secrets: []string{secret}, Min: 7}
	release := func(s Series, need int64) Series {
		s.Release = map[Key]int64{{"Deployment", "shop"}: need}
		return s
	}
	exempt := shop(map[string]int64{"app:1": 1})
	exempt.Exempt = []string{"backup"}
	backup := deployment("backup", reads("b", "backup:1"))
	backup.Spec.ServiceAccountName = "backup"
	withInit := deployment("shop", reads("app", "app:2"))
	withInit.Spec.InitContainers = []corev1.Container{reads("migrate-check", "check:1")}

	tests := map[string]struct {
		series    []Series
		templates []*Template
		live      map[Key]*Template
		// want is series@version by workload, separated by blanks; a workload that is not named carries none.
		want        map[string]string
		wantImages  map[string]string
		wantMissing string
		wantErr     string
	}{
		"derived from what is known of the image": {
			series: []Series{shop(map[string]int64{"app:1": 3})}, templates: []*Template{deployment("shop", reads("app", "app:1"))},
			want: map[string]string{"shop": "shop@3"}, wantImages: map[string]string{"shop": "app=app:1"},
		},
		"an image that nothing is known of is missing": {
			series: []Series{shop(nil)}, templates: []*Template{deployment("shop", reads("app", "app:1"))},
			want: map[string]string{}, wantMissing: "app:1",
		},
		"the minimum over the reader containers": {
			series:    []Series{shop(map[string]int64{"app:2": 5, "worker:1": 3})},
			templates: []*Template{deployment("shop", reads("app", "app:2"), reads("worker", "worker:1"))},
			want:      map[string]string{"shop": "shop@3"}, wantImages: map[string]string{"shop": "app=app:2,worker=worker:1"},
		},
		"init containers count": {
			series: []Series{shop(map[string]int64{"app:2": 5, "check:1": 4})}, templates: []*Template{withInit},
			want: map[string]string{"shop": "shop@4"}, wantImages: map[string]string{"shop": "app=app:2,migrate-check=check:1"},
		},
		"a sidecar without the Secret does not count": {
			series:    []Series{shop(map[string]int64{"app:2": 5, "proxy:1": 1})},
			templates: []*Template{deployment("shop", reads("app", "app:2"), plain("proxy", "proxy:1"))},
			want:      map[string]string{"shop": "shop@5"}, wantImages: map[string]string{"shop": "app=app:2"},
		},
		"a workload without the Secret carries none": {
			series:    []Series{shop(map[string]int64{"app:2": 5})},
			templates: []*Template{deployment("shop", reads("app", "app:2")), deployment("cache", plain("redis", "redis:7"))},
			want:      map[string]string{"shop": "shop@5"},
		},
		"no reader is known: all containers count": {
			series:    []Series{shop(map[string]int64{"app:2": 5, "redis:7": 2})},
			templates: []*Template{deployment("shop", plain("app", "app:2")), deployment("cache", plain("redis", "redis:7"))},
			want:      map[string]string{"shop": "shop@5", "cache": "shop@2"},
		},
		"exempt service accounts carry none": {
			series: []Series{exempt}, templates: []*Template{deployment("shop", reads("app", "app:1")), backup},
			want: map[string]string{"shop": "shop@1"},
		},
		"a changed sidecar lifts nobody": {
			series:    []Series{shop(map[string]int64{"app:1": 9})},
			templates: []*Template{deployment("shop", reads("app", "app:1"), plain("proxy", "proxy:2"))},
			live:      live(deployment("shop", reads("app", "app:1"), plain("proxy", "proxy:1")).with(shopLabel, "3").says("app=app:1")),
			want:      map[string]string{"shop": "shop@3"}, wantImages: map[string]string{"shop": "app=app:1"},
		},
		"a container that begins to read is counted, though its image did not change": {
			series:    []Series{shop(map[string]int64{"app:12": 12, "proxy:5": 5})},
			templates: []*Template{deployment("shop", reads("app", "app:12"), reads("proxy", "proxy:5"))},
			live:      live(deployment("shop", reads("app", "app:12"), plain("proxy", "proxy:5")).with(shopLabel, "12").says("app=app:12")),
			want:      map[string]string{"shop": "shop@5"}, wantImages: map[string]string{"shop": "app=app:12,proxy=proxy:5"},
		},
		"a changed reader image is stamped anew": {
			series:    []Series{shop(map[string]int64{"app:2": 5})},
			templates: []*Template{deployment("shop", reads("app", "app:2"))},
			live:      live(deployment("shop", reads("app", "app:1")).with(shopLabel, "3").says("app=app:1")),
			want:      map[string]string{"shop": "shop@5"}, wantImages: map[string]string{"shop": "app=app:2"},
		},
		"an image set back is stamped back": {
			series:    []Series{shop(map[string]int64{"app:1": 1})},
			templates: []*Template{deployment("shop", reads("app", "app:1"))},
			live:      live(deployment("shop", reads("app", "app:2")).with(shopLabel, "5").says("app=app:2")),
			want:      map[string]string{"shop": "shop@1"},
		},
		"declared": {
			series: []Series{shop(nil)}, templates: []*Template{deployment("shop", reads("app", "app:2")).with(shopLabel, "5")},
			want: map[string]string{"shop": "shop@5"}, wantImages: map[string]string{"shop": "app=app:2"},
		},
		"declared on a workload that takes no Secret": {
			series:    []Series{shop(map[string]int64{"app:1": 1})},
			templates: []*Template{deployment("shop", reads("app", "app:1")), deployment("report", plain("r", "report:1")).with(shopLabel, "4")},
			want:      map[string]string{"shop": "shop@1", "report": "shop@4"}, wantImages: map[string]string{"report": "r=report:1"},
		},
		"declared is not a number": {
			series: []Series{shop(nil)}, templates: []*Template{deployment("shop", reads("app", "app:2")).with(shopLabel, "v5")},
			wantErr: `Deployment shop: label schema.interlock.dev/shop: "v5" is not a version`,
		},
		"declared with a leading zero": {
			series: []Series{shop(nil)}, templates: []*Template{deployment("shop", reads("app", "app:2")).with(shopLabel, "05")},
			wantErr: `"05" is not a version`,
		},
		"declared negative": {
			series: []Series{shop(nil)}, templates: []*Template{deployment("shop", reads("app", "app:2")).with(shopLabel, "-1")},
			wantErr: `"-1" is not a version`,
		},
		"only the tag is set back, the annotation tells": {
			series:    []Series{shop(nil)},
			templates: []*Template{deployment("shop", reads("app", "app:1")).with(shopLabel, "5").says("app=app:2")},
			wantErr:   `its stamp speaks for image "app:2" of container "app"`,
		},
		"only the tag is set back, what is known of the image tells": {
			series:    []Series{shop(map[string]int64{"app:1": 1})},
			templates: []*Template{deployment("shop", reads("app", "app:1")).with(shopLabel, "5")},
			wantErr:   "image app:1 is known to be for version 1",
		},
		"declared higher than known, for that very image": {
			series:    []Series{shop(map[string]int64{"app:1": 1})},
			templates: []*Template{deployment("shop", reads("app", "app:1")).with(shopLabel, "5").says("app=app:1")},
			want:      map[string]string{"shop": "shop@5"},
		},
		"a label-only change is withheld": {
			series:    []Series{shop(nil)},
			templates: []*Template{deployment("shop", reads("app", "app:1")).with(shopLabel, "5").says("app=app:1")},
			live:      live(deployment("shop", reads("app", "app:1")).with(shopLabel, "1").says("app=app:1")),
			want:      map[string]string{"shop": "shop@1"},
		},
		"a label-only change is released by the contract step that it holds": {
			series:    []Series{release(shop(nil), 5)},
			templates: []*Template{deployment("shop", reads("app", "app:1")).with(shopLabel, "5").says("app=app:1")},
			live:      live(deployment("shop", reads("app", "app:1")).with(shopLabel, "1").says("app=app:1")),
			want:      map[string]string{"shop": "shop@5"},
		},
		"a label-only change that would not be enough stays withheld": {
			series:    []Series{release(shop(nil), 6)},
			templates: []*Template{deployment("shop", reads("app", "app:1")).with(shopLabel, "5").says("app=app:1")},
			live:      live(deployment("shop", reads("app", "app:1")).with(shopLabel, "1").says("app=app:1")),
			want:      map[string]string{"shop": "shop@1"},
		},
		"a declared stamp that goes down is not withheld": {
			series:    []Series{shop(nil)},
			templates: []*Template{deployment("shop", reads("app", "app:1")).with(shopLabel, "2").says("app=app:1")},
			live:      live(deployment("shop", reads("app", "app:1")).with(shopLabel, "5").says("app=app:1")),
			want:      map[string]string{"shop": "shop@2"},
		},
		"an adopted workload is not stamped": {
			series:    []Series{shop(map[string]int64{"app:1": 1})},
			templates: []*Template{deployment("shop", reads("app", "app:1"))},
			live:      live(deployment("shop", reads("app", "app:1"))),
			want:      map[string]string{},
		},
		"an adopted workload is not stamped by Git either": {
			series:    []Series{shop(nil)},
			templates: []*Template{deployment("shop", reads("app", "app:1")).with(shopLabel, "5")},
			live:      live(deployment("shop", reads("app", "app:1"))),
			want:      map[string]string{},
		},
		"an adopted workload is stamped when a contract step needs it": {
			series:    []Series{release(shop(map[string]int64{"app:1": 5}), 5)},
			templates: []*Template{deployment("shop", reads("app", "app:1"))},
			live:      live(deployment("shop", reads("app", "app:1"))),
			want:      map[string]string{"shop": "shop@5"}, wantImages: map[string]string{"shop": "app=app:1"},
		},
		"an adopted workload that is too old is left alone": {
			series:    []Series{release(shop(map[string]int64{"app:1": 1}), 5)},
			templates: []*Template{deployment("shop", reads("app", "app:1"))},
			live:      live(deployment("shop", reads("app", "app:1"))),
			want:      map[string]string{},
		},
		"two series": {
			series:    []Series{shop(map[string]int64{"app:2": 5}), billing},
			templates: []*Template{deployment("shop", reads("app", "app:2"))},
			want:      map[string]string{"shop": "shop@5 billing@7"}, wantImages: map[string]string{"shop": "app=app:2"},
		},
		"a used series keeps what it started with": {
			series:    []Series{shop(map[string]int64{"app:2": 5}), billing},
			templates: []*Template{deployment("shop", reads("app", "app:2"))},
			live:      live(deployment("shop", reads("app", "app:2")).with(shopLabel, "5", "schema.interlock.dev/billing", "2").says("app=app:2")),
			want:      map[string]string{"shop": "shop@5 billing@2"},
		},
		"a used series can be declared": {
			series:    []Series{shop(map[string]int64{"app:2": 5}), billing},
			templates: []*Template{deployment("shop", reads("app", "app:2")).with("schema.interlock.dev/billing", "9")},
			want:      map[string]string{"shop": "shop@5 billing@9"},
		},
		"a series that only the stamp names": {
			series:    nil,
			templates: []*Template{deployment("shop", plain("app", "app:2")).with("schema.interlock.dev/other", "3")},
			want:      map[string]string{"shop": "other@3"}, wantImages: map[string]string{"shop": "app=app:2"},
		},
		"no series, no stamps": {
			templates: []*Template{deployment("shop", plain("app", "app:2"))}, want: map[string]string{},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := Decide(Input{Series: tt.series, Templates: tt.templates, Live: tt.live})
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("error %v, want %q", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(r.Missing["shop"], " "); got != tt.wantMissing {
				t.Errorf("missing %q, want %q", got, tt.wantMissing)
			}
			checkStamps(t, r, tt.templates, tt.want, tt.wantImages)
		})
	}
}

// checkStamps compares the result, and what it writes onto objects, with what is wanted.
func checkStamps(t *testing.T, r Result, templates []*Template, want, wantImages map[string]string) {
	t.Helper()
	got := map[string]string{}
	for _, s := range r.Stamps {
		got[s.Name] = strings.TrimSpace(got[s.Name] + " " + s.Series + "@" + strconv.FormatInt(s.Version, 10))
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, template := range templates {
		u := objectOf(template)
		if err := r.Write([]*unstructured.Unstructured{u}); err != nil {
			t.Fatal(err)
		}
		written, err := TemplateOf(u)
		if err != nil {
			t.Fatal(err)
		}
		stamped := want[template.Name] != ""
		if (written.Labels[v1alpha1.StampedLabel] == "true") != stamped {
			t.Errorf("%s: label %s is %q", template.Name, v1alpha1.StampedLabel, written.Labels[v1alpha1.StampedLabel])
		}
		for label := range written.Labels {
			if series, ok := strings.CutPrefix(label, v1alpha1.StampLabelPrefix); ok {
				if pair := series + "@" + written.Labels[label]; !strings.Contains(" "+want[template.Name]+" ", " "+pair+" ") {
					t.Errorf("%s: wrote %s, want %q", template.Name, pair, want[template.Name])
				}
			}
		}
		if images, ok := wantImages[template.Name]; ok && written.Annotations[v1alpha1.StampImagesAnnotation] != images {
			t.Errorf("%s: images %q, want %q", template.Name, written.Annotations[v1alpha1.StampImagesAnnotation], images)
		}
		if written.Labels["app"] != template.Name {
			t.Errorf("%s: lost its own labels: %v", template.Name, written.Labels)
		}
	}
}

// objectOf is the workload of a template, as Git has it.
func objectOf(t *Template) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apps/v1", "kind": t.Kind,
		"metadata": map[string]any{"name": t.Name}, "spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": []any{}}}}}}
	for field, values := range map[string]map[string]string{"labels": t.Labels, "annotations": t.Annotations} {
		if err := unstructured.SetNestedStringMap(u.Object, values, "spec", "template", "metadata", field); err != nil {
			panic(err)
		}
	}
	return u
}

// TestKeptStampsChangeNothing: what runs with the same images must come out byte for byte as it is, or it restarts.
func TestKeptStampsChangeNothing(t *testing.T) {
	running := deployment("shop", reads("app", "app:1"), plain("proxy", "p:1")).with(shopLabel, "3", v1alpha1.StampedLabel, "true").says("app=app:1,proxy=p:1")
	for name, git := range map[string]*Template{
		"derived":                 deployment("shop", reads("app", "app:1"), plain("proxy", "p:1")),
		"declared higher":         deployment("shop", reads("app", "app:1"), plain("proxy", "p:1")).with(shopLabel, "9"),
		"declared and annotated":  deployment("shop", reads("app", "app:1"), plain("proxy", "p:1")).with(shopLabel, "9").says("app=app:1"),
		"declared as it is":       deployment("shop", reads("app", "app:1"), plain("proxy", "p:1")).with(shopLabel, "3"),
		"with the sidecar's tag2": deployment("shop", reads("app", "app:1"), plain("proxy", "p:2")),
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Decide(Input{Series: []Series{shop(nil)}, Templates: []*Template{git}, Live: live(running)})
			if err != nil {
				t.Fatal(err)
			}
			u := objectOf(git)
			if err := r.Write([]*unstructured.Unstructured{u}); err != nil {
				t.Fatal(err)
			}
			got, err := TemplateOf(u)
			if err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(got.Labels, running.Labels) || !maps.Equal(got.Annotations, running.Annotations) {
				t.Errorf("got %v %v, want %v %v", got.Labels, got.Annotations, running.Labels, running.Annotations)
			}
		})
	}
}

func TestDeclaredImagesAreReported(t *testing.T) {
	r, err := Decide(Input{Series: []Series{shop(nil)}, Templates: []*Template{
		deployment("shop", reads("app", "app:2")).with(shopLabel, "5"), deployment("worker", reads("app", "app:2")).with(shopLabel, "4")}})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Declared["shop"]["app:2"]; got != 4 {
		t.Errorf("app:2 is declared for %d, want the lower of 5 and 4", got)
	}
}

func TestTemplateOf(t *testing.T) {
	spec := map[string]any{"containers": []any{map[string]any{"name": "c", "image": "i:1"}}}
	template := map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b"}}, "spec": spec}
	tests := map[string]struct {
		apiVersion, kind string
		spec             map[string]any
		want             bool
		wantErr          bool
	}{
		"Deployment":             {"apps/v1", "Deployment", map[string]any{"template": template}, true, false},
		"StatefulSet":            {"apps/v1", "StatefulSet", map[string]any{"template": template}, true, false},
		"DaemonSet":              {"apps/v1", "DaemonSet", map[string]any{"template": template}, true, false},
		"ReplicaSet":             {"apps/v1", "ReplicaSet", map[string]any{"template": template}, true, false},
		"Job":                    {"batch/v1", "Job", map[string]any{"template": template}, true, false},
		"CronJob":                {"batch/v1", "CronJob", map[string]any{"jobTemplate": map[string]any{"spec": map[string]any{"template": template}}}, true, false},
		"Pod":                    {"v1", "Pod", spec, true, false},
		"ConfigMap":              {"v1", "ConfigMap", nil, false, false},
		"somebody's Deployment":  {"example.com/v1", "Deployment", map[string]any{"template": template}, false, false},
		"no template":            {"apps/v1", "Deployment", map[string]any{}, false, true},
		"containers is a number": {"v1", "Pod", map[string]any{"containers": int64(3)}, false, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": tt.apiVersion, "kind": tt.kind,
				"metadata": map[string]any{"name": "x"}, "spec": tt.spec}}
			got, err := TemplateOf(u)
			if (err != nil) != tt.wantErr {
				t.Fatalf("error %v, want one: %v", err, tt.wantErr)
			}
			if (got != nil) != tt.want {
				t.Fatalf("got %v, want one: %v", got, tt.want)
			}
			if got != nil && got.Spec.Containers[0].Image != "i:1" {
				t.Errorf("read %v", got.Spec)
			}
		})
	}
}
