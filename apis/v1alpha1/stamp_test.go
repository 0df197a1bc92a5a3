package v1alpha1

import (
	"maps"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

func TestStampLabel(t *testing.T) {
	long := strings.Repeat("a", 100)
	tests := map[string]struct {
		series string
		want   string
	}{
		"short":                {"shop", "schema.interlock.dev/shop"},
		"as long as it may be": {strings.Repeat("b", 63), "schema.interlock.dev/" + strings.Repeat("b", 63)},
		"too long":             {long, "schema.interlock.dev/" + strings.Repeat("a", 52) + "-" + SeriesKey(long)[53:]},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := StampLabel(tt.series)
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if errs := validation.IsQualifiedName(got); len(errs) > 0 {
				t.Errorf("%s is no label key: %v", got, errs)
			}
		})
	}
	if StampLabel(long) == StampLabel(long+"a") {
		t.Error("two long names share a label key")
	}
}

func TestStampImages(t *testing.T) {
	images := map[string]string{"web": "registry:5000/shop@sha256:abc", "init": "shop:v2"}
	value := FormatStampImages(images)
	if want := "init=shop:v2,web=registry:5000/shop@sha256:abc"; value != want {
		t.Errorf("got %q, want %q", value, want)
	}
	if got := ParseStampImages(value); !maps.Equal(got, images) {
		t.Errorf("got %v, want %v", got, images)
	}
	if got := ParseStampImages("a,=b,c="); len(got) != 0 {
		t.Errorf("malformed parts were kept: %v", got)
	}
}
