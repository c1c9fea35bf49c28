package manifest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"optimist/internal/api"
	"optimist/internal/strict"
)

// parsed is a document after the YAML parser: the object as JSON, and the tree of nodes that knows its lines.
type parsed struct {
	source Source
	json   []byte
	node   *yamlnode.Node
	err    error
}

// file numbers the documents that hold something (not only comments), if there are several.
func (r *reader) file(name string, data []byte, err error) {
	if err != nil {
		r.fault(fmt.Errorf("read %s: %w", name, err))
		return
	}
	var all []parsed
	for _, text := range split(data) {
		if p := parse(text); p.node != nil || p.err != nil {
			all = append(all, p)
		}
	}
	for i, p := range all {
		if p.source.File = name; len(all) > 1 {
			p.source.Document = i + 1
		}
		r.list(p)
	}
}

func parse(text []byte) (p parsed) {
	var root yamlnode.Node
	p.err = yamlnode.Unmarshal(text, &root)
	if p.err == nil {
		if len(root.Content) == 0 || root.Content[0].Tag == "!!null" {
			return p
		}
		p.node = root.Content[0]
		p.source.Line = p.node.Line
		p.json, p.err = yaml.YAMLToJSONStrict(text)
	}
	if p.err != nil {
		p.source.Line, p.err = splitLine(p.err, 1+len(text)-len(bytes.TrimLeft(text, "\n")))
	}
	return p
}

var lineIn = regexp.MustCompile(`line (\d+): (.*)`)

// splitLine takes the line number out of a YAML error, for it goes to the front of the message.
func splitLine(err error, otherwise int) (int, error) {
	text := strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")
	if m := lineIn.FindStringSubmatch(text); m != nil {
		otherwise, _ = strconv.Atoi(m[1])
		text = strings.TrimSuffix(m[2], " in map")
	}
	return otherwise, errors.New(text)
}

// wrong is what is the matter, with the line that the field stands on.
func (p parsed) wrong(path string, err error) *Fault {
	p.source.Line = lineOf(p.node, path, p.source.Line)
	return &Fault{Source: p.source, Err: err}
}

// list reads what a document stands for: one object, or a list's many.
func (r *reader) list(p parsed) {
	var list struct {
		metav1.TypeMeta `json:",inline"`
		Items           []json.RawMessage `json:"items"`
	}
	switch {
	case p.err != nil:
		r.fault(&Fault{Source: p.source, Err: p.err})
		return
	case json.Unmarshal(p.json, &list) != nil:
		r.fault(&Fault{Source: p.source, Err: errors.New("this is not an object: it must begin with apiVersion, kind and metadata")})
		return
	case !strings.HasSuffix(list.Kind, "List") || list.Items == nil:
		r.object(p)
	}
	for i, item := range list.Items {
		one := parsed{source: p.source, json: item, node: nodeAt(p.node, fmt.Sprintf("items[%d]", i))}
		one.source.Line = lineOf(one.node, "", one.source.Line)
		r.object(one)
	}
}

func (r *reader) object(p parsed) {
	var head struct{ APIVersion, Kind string }
	if err := json.Unmarshal(p.json, &head); err != nil {
		r.fault(p.wrong("", errors.New("apiVersion and kind must be strings, of an object")))
		return
	}
	text, now, warning := modern(p.json, head.APIVersion, head.Kind)
	kind, version, path, err := r.kindOf(now, head.Kind)
	if err != nil {
		r.fault(p.wrong(path, err))
		return
	}
	if p.json = text; warning != "" && r.Warn != nil {
		r.Warn(warning)
	}
	before := len(r.faults)
	r.check(p, kind, version)
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(p.json); err != nil {
		r.fault(p.wrong("", err))
	} else if object.GetName()+object.GetGenerateName() == "" && len(r.faults) == before {
		r.fault(p.wrong("metadata", fmt.Errorf("%s has no metadata.name", kind.Name)))
	}
	if len(r.faults) == before {
		r.documents = append(r.documents, Document{Source: p.source, Kind: kind, Version: version, Object: object})
	}
}

// check holds a document against its kind's type: everything in it that does not fit.
func (r *reader) check(p parsed, kind *api.Kind, version string) {
	typed, err := kind.New(version)
	if err != nil {
		r.fault(p.wrong("", err))
		return
	}
	found, err := strict.Inspect(p.json, typed)
	if err != nil {
		r.fault(p.wrong("", err))
	}
	for i, f := range found.Loose {
		found.Loose[i].Text = cmp.Or(whither(kind.Name, f.Path), f.Text)
	}
	switch r.Validation {
	case api.Warn:
		for _, f := range found.Loose {
			r.Warn(p.wrong(f.Path, errors.New(f.Text)).Error())
		}
	case api.Strict, "":
		found.Wrong = append(found.Loose, found.Wrong...)
	}
	var faults []*Fault
	for _, f := range found.Wrong {
		faults = append(faults, p.wrong(f.Path, errors.New(f.Text)))
	}
	slices.SortStableFunc(faults, func(a, b *Fault) int { return a.Source.Line - b.Source.Line })
	for _, f := range faults {
		r.fault(f)
	}
}

// kindOf finds the kind in the catalogue; otherwise it says which field is to blame.
func (r *reader) kindOf(apiVersion, name string) (kind *api.Kind, version, path string, err error) {
	gv, err := schema.ParseGroupVersion(apiVersion)
	switch {
	case apiVersion == "":
		return nil, "", "", errors.New("apiVersion is not set")
	case name == "":
		return nil, "", "", errors.New("kind is not set")
	case err != nil:
		return nil, "", "apiVersion", err
	}
	if kind = r.Catalogue.Kind(schema.GroupKind{Group: gv.Group, Kind: name}); kind == nil {
		return nil, "", "kind", fmt.Errorf("no matches for kind %q in version %q%s", name, apiVersion, suggestKind(r.Catalogue, name))
	}
	for _, v := range kind.Versions {
		if v.Name == gv.Version {
			return kind, gv.Version, "", nil
		}
	}
	return nil, "", "apiVersion", fmt.Errorf("no matches for kind %q in version %q; it is served as %s", name, apiVersion, kind.GVK("").GroupVersion())
}

func suggestKind(c *api.Catalogue, name string) string {
	versions := map[string]string{}
	var names []string
	for _, k := range c.All() {
		names = append(names, k.Name)
		versions[k.Name] = k.GVK("").GroupVersion().String()
	}
	if near := strict.Nearest(name, names); near != "" {
		return fmt.Sprintf(" (did you mean %q in version %q?)", near, versions[near])
	}
	return "; `ctl api-resources` lists what there is"
}
