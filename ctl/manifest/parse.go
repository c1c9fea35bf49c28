package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"optimist/internal/api"
)

// parsed is a chunk after the YAML parser: the object as JSON, and the tree of nodes that knows its lines.
type parsed struct {
	source Source
	json   []byte
	node   *yamlnode.Node
	err    error
}

// parseAll drops chunks that hold nothing (only comments) and numbers the others.
func parseAll(file string, chunks []chunk) []parsed {
	var all []parsed
	for _, c := range chunks {
		if p := parse(c); p.node != nil || p.err != nil {
			p.source.File = file
			p.source.Document = len(all) + 1
			all = append(all, p)
		}
	}
	if len(all) == 1 {
		all[0].source.Document = 0
	}
	return all
}

func parse(c chunk) parsed {
	p := parsed{source: Source{Line: c.line}}
	var root yamlnode.Node
	if err := yamlnode.Unmarshal(c.text, &root); err != nil {
		p.source.Line, p.err = splitLine(err, c.line)
		return p
	}
	shift(&root, c.line-1)
	if len(root.Content) == 0 || root.Content[0].Tag == "!!null" {
		return p
	}
	p.node = root.Content[0]
	p.source.Line = p.node.Line
	data, err := yaml.YAMLToJSONStrict(c.text)
	if err != nil {
		p.source.Line, p.err = splitLine(err, c.line)
	}
	p.json = data
	return p
}

var lineIn = regexp.MustCompile(`line (\d+): (.*)`)

// shift makes the line numbers of a chunk's nodes those of the file.
func shift(n *yamlnode.Node, by int) {
	n.Line += by
	for _, child := range n.Content {
		shift(child, by)
	}
}

// splitLine takes the line number out of a YAML error, for it goes to the front of the message. begin is the chunk's first line.
func splitLine(err error, begin int) (int, error) {
	text := err.Error()
	if m := lineIn.FindStringSubmatch(text); m != nil {
		line, _ := strconv.Atoi(m[1])
		return begin - 1 + line, errors.New(strings.TrimSuffix(m[2], " in map"))
	}
	return begin, errors.New(strings.TrimPrefix(text, "error converting YAML to JSON: "))
}

// objects returns what a document stands for: one object, or a list's many.
func (o Options) objects(p parsed) ([]Document, []error) {
	if p.err != nil {
		return nil, []error{&Fault{Source: p.source, Err: p.err}}
	}
	var list struct {
		metav1.TypeMeta `json:",inline"`
		Items           []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(p.json, &list); err != nil {
		return nil, []error{&Fault{Source: p.source, Err: errors.New("this is not an object: it must begin with apiVersion, kind and metadata")}}
	}
	if !strings.HasSuffix(list.Kind, "List") || list.Items == nil {
		return o.object(p)
	}
	var documents []Document
	var faults []error
	for i, item := range list.Items {
		one := parsed{source: p.source, json: item, node: nodeAt(p.node, fmt.Sprintf("items[%d]", i))}
		if one.node != nil {
			one.source.Line = one.node.Line
		}
		d, f := o.object(one)
		documents, faults = append(documents, d...), append(faults, f...)
	}
	return documents, faults
}

func (o Options) object(p parsed) ([]Document, []error) {
	fault := func(path string, err error) []error {
		at := p.source
		at.Line = lineOf(p.node, path, at.Line)
		return []error{&Fault{Source: at, Err: err}}
	}
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := json.Unmarshal(p.json, &head); err != nil {
		return nil, fault("", errors.New("apiVersion and kind must be strings, of an object"))
	}
	kind, version, path, err := o.kindOf(head.APIVersion, head.Kind)
	if err != nil {
		return nil, fault(path, err)
	}
	if faults := o.check(p, kind, version); len(faults) > 0 {
		return nil, faults
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(p.json); err != nil {
		return nil, fault("", err)
	}
	if object.GetName() == "" && object.GetGenerateName() == "" {
		return nil, fault("metadata", fmt.Errorf("%s has no metadata.name", kind.Name))
	}
	return []Document{{Source: p.source, Kind: kind, Version: version, Object: object}}, nil
}

// kindOf finds the kind in the catalogue; otherwise it says which field is to blame.
func (o Options) kindOf(apiVersion, name string) (kind *api.Kind, version, path string, err error) {
	gv, err := schema.ParseGroupVersion(apiVersion)
	switch {
	case apiVersion == "":
		return nil, "", "", errors.New("apiVersion is not set")
	case name == "":
		return nil, "", "", errors.New("kind is not set")
	case err != nil:
		return nil, "", "apiVersion", err
	}
	kind = o.Catalogue.Kind(schema.GroupKind{Group: gv.Group, Kind: name})
	if kind == nil {
		return nil, "", "kind", fmt.Errorf("no matches for kind %q in version %q%s", name, apiVersion, suggestKind(o.Catalogue, name))
	}
	for _, v := range kind.Versions {
		if v.Name == gv.Version {
			return kind, gv.Version, "", nil
		}
	}
	return nil, "", "apiVersion", fmt.Errorf("no matches for kind %q in version %q; it is served as %s", name, apiVersion, kind.GVK("").GroupVersion())
}
