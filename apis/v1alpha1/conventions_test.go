package v1alpha1

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestAPIConventions is the API linter: every field of every kind is documented, says whether it is optional,
// and is bounded where it can grow; a boolean is allowed only where no third value is thinkable.
func TestAPIConventions(t *testing.T) {
	allowedBooleans := map[string]bool{"Suspend": true, "Prune": true}
	forEachField(t, func(typeName string, f *ast.Field) {
		name := f.Names[0].Name
		at := typeName + "." + name
		doc := f.Doc.Text()
		markers := markersOf(f.Doc)
		if typeName != "AppBundleList" && typeName != "DatabaseList" && typeName != "SchemaMigrationList" {
			if strings.TrimSpace(doc) == "" {
				t.Errorf("%s has no doc comment", at)
			}
			if !markers["optional"] && !markers["required"] {
				t.Errorf("%s says neither +optional nor +required", at)
			}
		}
		tag := jsonTag(f)
		if tag == "" || strings.ToLower(tag[:1]) != tag[:1] {
			t.Errorf("%s has the JSON name %q; it starts with a small letter", at, tag)
		}
		if _, ok := f.Type.(*ast.ArrayType); ok && !strings.HasSuffix(typeName, "List") {
			if !markers["kubebuilder:validation:MaxItems"] {
				t.Errorf("%s can grow without end; give it +kubebuilder:validation:MaxItems", at)
			}
			if !markers["listType"] {
				t.Errorf("%s has no +listType, so server-side apply replaces it as a whole by accident", at)
			}
		}
		if _, ok := f.Type.(*ast.MapType); ok && !markers["kubebuilder:validation:MaxProperties"] {
			t.Errorf("%s can grow without end; give it +kubebuilder:validation:MaxProperties", at)
		}
		if isBool(f.Type) && !allowedBooleans[name] {
			t.Errorf("%s is a boolean; use an enum, which may grow a third value", at)
		}
	})
}

// forEachField calls a function for every named field of every struct of the kinds.
func forEachField(t *testing.T, visit func(typeName string, f *ast.Field)) {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), "_types.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if st, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range st.Fields.List {
					if len(f.Names) > 0 {
						seen++
						visit(spec.Name.Name, f)
					}
				}
			}
			return true
		})
	}
	if seen < 50 {
		t.Fatalf("only %d fields were looked at; did the files move?", seen)
	}
}

func markersOf(doc *ast.CommentGroup) map[string]bool {
	out := map[string]bool{}
	if doc == nil {
		return out
	}
	for _, c := range doc.List {
		if m, ok := strings.CutPrefix(c.Text, "// +"); ok {
			name, _, _ := strings.Cut(m, "=")
			out[name] = true
		}
	}
	return out
}

func jsonTag(f *ast.Field) string {
	if f.Tag == nil {
		return ""
	}
	name, _, _ := strings.Cut(reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json"), ",")
	return name
}

func isBool(e ast.Expr) bool {
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	id, ok := e.(*ast.Ident)
	return ok && id.Name == "bool"
}
