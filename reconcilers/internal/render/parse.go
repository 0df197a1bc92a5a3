package render

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/json"
	sigsyaml "sigs.k8s.io/yaml"
)

// maxDocuments bounds one file, so that a file of nothing but separators ends.
const maxDocuments = MaxObjects

// Parse reads the objects of one YAML file. Empty documents are passed over, lists are unfolded. An error names the
// file and the line.
func Parse(name string, data []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for n := 0; ; n++ {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fail(BuildFailed, "%s: it is not YAML; correct it", at(name, err))
		}
		if n == maxDocuments {
			return nil, fail(BuildFailed, "%s: has more than %d documents; split it", name, maxDocuments)
		}
		parsed, err := parseDocument(name, &doc)
		if err != nil {
			return nil, err
		}
		objects = append(objects, parsed...)
	}
}

var yamlLine = regexp.MustCompile(`^yaml: (?:unmarshal errors:\s+)?(?:line (\d+): )?(.*)`)

// countedFromZero are the complaints for which the YAML parser counts lines from 0.
var countedFromZero = []string{"did not find expected key", "did not find expected '-' indicator", "did not find expected node content",
	"did not find expected ',' or", "did not find expected <"}

// at puts file and line in front of what the YAML parser says.
func at(name string, err error) string {
	m := yamlLine.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " "))
	switch {
	case m == nil:
		return fmt.Sprintf("%s: %s", name, err)
	case m[1] == "":
		return fmt.Sprintf("%s: %s", name, m[2])
	}
	line, _ := strconv.Atoi(m[1])
	if slices.ContainsFunc(countedFromZero, func(p string) bool { return strings.HasPrefix(m[2], p) }) {
		line++
	}
	return fmt.Sprintf("%s:%d: %s", name, line, m[2])
}

// parseDocument turns one YAML document into objects.
func parseDocument(name string, doc *yaml.Node) ([]*unstructured.Unstructured, error) {
	if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
		return nil, nil
	}
	where := name + ":" + strconv.Itoa(doc.Content[0].Line)
	if doc.Content[0].Kind != yaml.MappingNode {
		return nil, fail(BuildFailed, "%s: is no Kubernetes object; every document needs apiVersion, kind and metadata.name", where)
	}
	text, err := yaml.Marshal(doc)
	if err != nil {
		return nil, fail(BuildFailed, "%s: %w", where, err)
	}
	data, err := sigsyaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, fail(BuildFailed, "%s: %s; correct it", where, withoutLine(err))
	}
	object := map[string]any{}
	// Kubernetes' own decoder keeps whole numbers whole, which an object needs to be copied.
	if err := json.Unmarshal(data, &object); err != nil {
		return nil, fail(BuildFailed, "%s: %s; correct it", where, err)
	}
	return asObjects(where, object)
}

// withoutLine leaves out the line number: it counts in the document as it was written anew.
func withoutLine(err error) string {
	text := strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")
	if m := yamlLine.FindStringSubmatch(strings.ReplaceAll(text, "\n", " ")); m != nil {
		return m[2]
	}
	return text
}

func asObjects(where string, object map[string]any) ([]*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{Object: object}
	if err := wellFormed(u); err != nil {
		return nil, fail(BuildFailed, "%s: %w", where, err)
	}
	if !u.IsList() {
		if u.GetName() == "" {
			return nil, fail(BuildFailed, "%s: %s has no metadata.name; give it one", where, u.GetKind())
		}
		return []*unstructured.Unstructured{u}, nil
	}
	var objects []*unstructured.Unstructured
	items, _ := object["items"].([]any)
	for _, item := range items {
		m, ok := item.(map[string]any)
		if !ok {
			return nil, fail(BuildFailed, "%s: an item of the list is no Kubernetes object", where)
		}
		if _, nested := m["items"]; nested {
			return nil, fail(BuildFailed, "%s: a list in a list; unfold it", where)
		}
		parsed, err := asObjects(where, m)
		if err != nil {
			return nil, err
		}
		objects = append(objects, parsed...)
	}
	return objects, nil
}

// wellFormed refuses what the accessors of an object would pass over in silence.
func wellFormed(u *unstructured.Unstructured) error {
	apiVersion, _, _ := unstructured.NestedString(u.Object, "apiVersion")
	kind, _, _ := unstructured.NestedString(u.Object, "kind")
	if apiVersion == "" || kind == "" {
		return errors.New("is no Kubernetes object: apiVersion or kind is missing")
	}
	if _, err := schema.ParseGroupVersion(apiVersion); err != nil {
		return fmt.Errorf("apiVersion %q is not group/version", apiVersion)
	}
	if u.IsList() {
		return nil
	}
	metadata, ok := u.Object["metadata"].(map[string]any)
	if !ok {
		return fmt.Errorf("%s has no metadata", kind)
	}
	for _, key := range []string{"name", "namespace"} {
		if _, _, err := unstructured.NestedString(metadata, key); err != nil {
			return fmt.Errorf("%s: metadata.%s is not a text; put it in quotes", kind, key)
		}
	}
	for _, key := range []string{"labels", "annotations"} {
		if metadata[key] == nil {
			delete(metadata, key)
		}
		if _, _, err := unstructured.NestedStringMap(metadata, key); err != nil {
			return fmt.Errorf("%s: a value of metadata.%s is not a text; put it in quotes", kind, key)
		}
	}
	return nil
}
