package v1alpha1

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
)

// maxLabelName is the longest name part of a label key (Kubernetes, "Labels and Selectors").
const maxLabelName = 63

// SeriesKey is the name of a series as it appears in a label key and in the keys of the params objects: the
// name itself, or, where a label key can not hold it, its start and a hash of the whole.
func SeriesKey(series string) string {
	if len(series) <= maxLabelName {
		return series
	}
	sum := sha256.Sum256([]byte(series))
	suffix := hex.EncodeToString(sum[:5])
	return strings.TrimRight(series[:maxLabelName-len(suffix)-1], "-.") + "-" + suffix
}

// StampLabel is the label key that carries the stamp of a series.
func StampLabel(series string) string { return StampLabelPrefix + SeriesKey(series) }

// FormatStampImages renders the value of StampImagesAnnotation: images by container name, in order of name.
func FormatStampImages(images map[string]string) string {
	parts := make([]string, 0, len(images))
	for _, name := range slices.Sorted(maps.Keys(images)) {
		parts = append(parts, name+"="+images[name])
	}
	return strings.Join(parts, ",")
}

// ParseStampImages is the inverse of FormatStampImages; what is malformed is left out.
func ParseStampImages(value string) map[string]string {
	images := map[string]string{}
	for part := range strings.SplitSeq(value, ",") {
		if name, image, ok := strings.Cut(part, "="); ok && name != "" && image != "" {
			images[name] = image
		}
	}
	return images
}
