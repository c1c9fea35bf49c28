package schema

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/schemamutation"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// RefV3 stands before a definition's name in every $ref; in v2 it is RefV2.
const (
	RefV3 = "#/components/schemas/"
	RefV2 = "#/definitions/"
)

//go:embed definitions.json.gz
var packed []byte

var refs = regexp.MustCompile(`"\$ref":"` + RefV3 + `([^"]+)"`)

// Definitions parses the schema of every served type, by its name ("io.k8s.api.apps.v1.Deployment"). Nothing is kept: call it once, make of it what you need, let it go.
func Definitions() (map[string]*spec.Schema, error) { return unpack[*spec.Schema]() }

// Texts returns, undecoded, the definitions that have one of the names, and all that those refer to. What is not defined is left out.
func Texts(names ...string) (map[string]json.RawMessage, error) {
	all, err := unpack[json.RawMessage]()
	some := map[string]json.RawMessage{}
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		if text := all[name]; text != nil && some[name] == nil {
			some[name] = bytes.Clone(text)
			for _, ref := range refs.FindAllSubmatch(text, -1) {
				names = append(names, string(ref[1]))
			}
		}
	}
	return some, err
}

// Swagger parses all definitions like Definitions, in the form of OpenAPI v2, which has neither defaults nor alternatives.
func Swagger() (map[string]*spec.Schema, error) {
	all, err := Definitions()
	older := schemamutation.Walker{RefCallback: schemamutation.RefCallbackNoop, SchemaCallback: func(was *spec.Schema) *spec.Schema {
		s := new(*was)
		s.Default = nil
		if len(s.AllOf) == 1 {
			s.Ref, s.AllOf = s.AllOf[0].Ref, nil
		}
		if len(s.OneOf) > 0 {
			s.Type, s.OneOf = spec.StringOrArray{"string"}, nil
		}
		if name, ok := strings.CutPrefix(s.Ref.String(), RefV3); ok {
			s.Ref = spec.MustCreateRef(RefV2 + name)
		}
		return s
	}}
	for name, s := range all {
		all[name] = older.WalkSchema(s)
	}
	return all, err
}

// Name is the name of a built-in kind's definition.
func Name(k schema.GroupVersionKind) string {
	group, _, _ := strings.Cut(k.Group, ".")
	if group == "" {
		group = "core"
	}
	return strings.Join([]string{"io.k8s.api", group, k.Version, k.Kind}, ".")
}

func unpack[T any]() (map[string]T, error) {
	all := map[string]T{}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err == nil {
		err = json.NewDecoder(z).Decode(&all)
	}
	if err != nil {
		return nil, fmt.Errorf("the schema in this program is broken, build it anew (make generate build): %w", err)
	}
	return all, nil
}
