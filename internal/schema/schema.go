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
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// RefV3 stands before a definition's name in every $ref.
const RefV3, refV2 = "#/components/schemas/", "#/definitions/"

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

// Swagger returns all definitions, undecoded, in the form of OpenAPI v2, which has neither defaults nor alternatives.
func Swagger() (map[string]json.RawMessage, error) {
	all, err := unpack[json.RawMessage]()
	for name, text := range all {
		for _, change := range older {
			text = change.from.ReplaceAll(text, []byte(change.to))
		}
		all[name] = text
	}
	return all, err
}

const anyDefault = `"default":(\{("[a-z]+":\{\})?\}|\[\]|"[^"]*"|[-0-9.]+|true|false|null)`

var older = []struct {
	from *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`"allOf":\[\{("\$ref":"[^"]*")\}\]`), "$1"},
	{regexp.MustCompile(`"` + RefV3), `"` + refV2},
	{regexp.MustCompile(`"oneOf":\[[^\]]*\]`), `"type":"string"`},
	{regexp.MustCompile(`,` + anyDefault), ""}, {regexp.MustCompile(anyDefault + `,`), ""},
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
