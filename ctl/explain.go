package ctl

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"optimist/internal/api"
	types "optimist/internal/schema"
)

// explainer prints what the schema says of a kind and its fields, laid out as kubectl does.
type explainer struct {
	recursive  bool
	depth      int
	apiVersion string
	all        map[string]*spec.Schema
	bytes.Buffer
}

func explainCommand() *cobra.Command {
	e := &explainer{}
	c := &cobra.Command{Use: "explain TYPE[.FIELD…]", Short: "Say what a kind and its fields are for",
		Example: "  ctl explain pods\n  ctl explain deploy.spec.strategy\n  ctl explain hpa --api-version=autoscaling/v1 --recursive",
		Args:    exactly(1, "TYPE[.FIELD…]; `ctl api-resources` lists the types"), RunE: func(c *cobra.Command, args []string) error {
			if e.depth < 0 || e.depth > 0 && !e.recursive {
				return usage(c, "--max-depth is a number of levels for --recursive")
			}
			if err := e.explain(args[0]); err != nil {
				return err
			}
			_, err := e.WriteTo(c.OutOrStdout())
			return err
		}}
	c.Flags().BoolVarP(&e.recursive, "recursive", "R", false, "Print the fields of fields too")
	c.Flags().IntVar(&e.depth, "max-depth", 0, "How deep --recursive goes; 0 = all the way")
	c.Flags().StringVar(&e.apiVersion, "api-version", "", "The group and version that are meant, as autoscaling/v1")
	return c
}

func (e *explainer) explain(arg string) (err error) {
	gvk, path, err := e.find(arg)
	if err != nil {
		return err
	}
	if e.all, err = types.Definitions(); err != nil {
		return err
	}
	root := e.all[types.Name(gvk)]
	if root == nil {
		return fmt.Errorf("there is no schema of %s", gvk)
	}
	if gvk.Group != "" {
		fmt.Fprintf(e, "GROUP:      %s\n", gvk.Group)
	}
	fmt.Fprintf(e, "KIND:       %s\nVERSION:    %s\n\n", gvk.Kind, gvk.Version)
	if !e.describe(root, path) {
		return fmt.Errorf("field %q does not exist", path[len(path)-1])
	}
	e.WriteString("\n")
	return nil
}

// find reads deployments.spec.replicas and deployments.v1.apps.spec.replicas.
func (e *explainer) find(arg string) (gvk schema.GroupVersionKind, path []string, err error) {
	words := strings.Split(arg, ".")
	var k *api.Kind
	for n := len(words); n > 0 && k == nil; n-- {
		k, path = api.Builtin.Find(strings.Join(words[:n], ".")), words[n:]
	}
	if k == nil {
		if _, err = findKinds(words[0]); err == nil {
			err = fmt.Errorf("%q is several kinds: name one", words[0])
		}
		return gvk, nil, err
	}
	gv := k.GVK("").GroupVersion()
	if e.apiVersion != "" {
		if gv, err = schema.ParseGroupVersion(e.apiVersion); err != nil {
			return gvk, nil, fmt.Errorf("--api-version: %w", err)
		}
	} else if rest := words[1 : len(words)-len(path)]; len(rest) > 0 && strings.Join(rest, ".") != k.Group {
		gv.Version = rest[0]
	}
	for _, other := range api.Builtin.All() {
		if other.Plural == k.Plural && other.Group == gv.Group && slices.ContainsFunc(other.Versions, func(v api.Version) bool { return v.Name == gv.Version }) {
			return other.GVK(gv.Version), path, nil
		}
	}
	return gvk, nil, fmt.Errorf("couldn't find resource for %q", gv.WithResource(k.Plural))
}

func (e *explainer) resolve(s *spec.Schema) *spec.Schema {
	if to := e.all[refName(s)]; to != nil {
		return to
	}
	return s
}

func refName(s *spec.Schema) string { return strings.TrimPrefix(s.Ref.String(), types.RefV3) }

// inner are the schemas of which a schema consists, beside its properties.
func inner(s *spec.Schema) (all []*spec.Schema) {
	for i := range s.AllOf {
		all = append(all, &s.AllOf[i])
	}
	if s.Items != nil {
		all = append(all, s.Items.Schema)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		all = append(all, s.AdditionalProperties.Schema)
	}
	return all
}

// describe follows a path and prints what it leads to; false if it leads nowhere.
func (e *explainer) describe(s *spec.Schema, path []string) bool {
	r := e.resolve(s)
	if len(path) == 0 {
		text := e.description(s)
		if text == "" {
			text = "<empty>"
		}
		e.WriteString("DESCRIPTION:\n" + indent(4, wrap(76, text)) + "\n")
		at := e.Len()
		if e.fields(s, 1, nil); e.Len() > at {
			list := string(e.Bytes()[at:])
			e.Truncate(at)
			e.WriteString("FIELDS:\n" + list)
		}
		return true
	}
	if p, ok := r.Properties[path[0]]; ok {
		if len(path) == 1 {
			fmt.Fprintf(e, "FIELD: %s <%s>\n", path[0], e.typeOf(&p))
			if len(p.Enum) > 0 {
				e.WriteString("ENUM:" + enum(p.Enum, "\n    ", len(p.Enum)))
			}
			e.WriteString("\n\n")
		}
		return e.describe(&p, path[1:])
	}
	return slices.ContainsFunc(inner(r), func(s *spec.Schema) bool { return e.describe(s, path) })
}

func (e *explainer) description(s *spec.Schema) string {
	r := e.resolve(s)
	text := r.Description
	if text != "" {
		text += "\n"
	}
	for _, s := range inner(r) {
		text += e.description(s)
	}
	return text
}

// fields prints the fields of a schema. above are the definitions within which it stands: some contain themselves.
func (e *explainer) fields(s *spec.Schema, level int, above []string) {
	name := refName(s)
	if name != "" && slices.Contains(above, name) {
		return
	}
	above = append(slices.Clip(above), name)
	r := e.resolve(s)
	for _, field := range slices.Sorted(maps.Keys(r.Properties)) {
		p := r.Properties[field]
		e.field(field, &p, slices.Contains(r.Required, field), level)
		if e.recursive && (e.depth == 0 || level < e.depth) {
			e.fields(&p, level+1, above)
		}
	}
	for _, s := range inner(r) {
		e.fields(s, level, above)
	}
}

func (e *explainer) field(name string, s *spec.Schema, required bool, level int) {
	fmt.Fprintf(e, "%s\t<%s>", indent(2*level, name), e.typeOf(s))
	if required {
		e.WriteString(" -required-")
	}
	if len(s.Enum) > 0 {
		e.WriteString("\n" + indent(2*level, "enum: "+strings.TrimPrefix(enum(s.Enum, ", ", 4), ", ")))
	}
	e.WriteString("\n")
	if text := s.Description; !e.recursive {
		if text == "" {
			text = "<no description>"
		}
		e.WriteString(indent(2*level+2, wrap(78-2*level, text)) + "\n\n")
	}
}

func enum(values []any, separator string, limit int) (list string) {
	for i, v := range values {
		if i == limit {
			return list + ", ...."
		}
		if v == "" {
			v = `""`
		}
		list += fmt.Sprint(separator, v)
	}
	return list
}

// typeOf is a type as one would say it: []Container, map[string]string.
func (e *explainer) typeOf(s *spec.Schema) string {
	r, name := e.resolve(s), refName(s)
	switch {
	case s.Items != nil:
		return "[]" + e.typeOf(s.Items.Schema)
	case s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil:
		return "map[string]" + e.typeOf(s.AdditionalProperties.Schema)
	case len(s.AllOf) == 1 && len(s.Properties) == 0:
		return e.typeOf(&s.AllOf[0])
	case name != "" && (len(r.Type) == 0 || r.Type[0] == "object"):
		return name[strings.LastIndex(name, ".")+1:]
	case len(r.Type) == 0 || r.Type[0] == "object":
		return "Object"
	}
	return r.Type[0]
}

func indent(n int, text string) string {
	pad := strings.Repeat(" ", n)
	return pad + strings.ReplaceAll(text, "\n", "\n"+pad)
}

// wrap breaks lines at spaces, so that none but those of a single word is longer than width.
func wrap(width int, text string) string {
	var out strings.Builder
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			out.WriteString("\n")
		}
		at := 0
		for line != "" {
			word := strings.TrimLeft(line, " \t")
			spaces := line[:len(line)-len(word)]
			if end := strings.IndexAny(word, " \t"); end >= 0 {
				word = word[:end]
			}
			line = line[len(spaces)+len(word):]
			if n := len([]rune(word)); at+len(spaces)+n > width && at+len(spaces) > 1 {
				if word != "" {
					out.WriteString("\n" + word)
				}
				at = n
			} else {
				out.WriteString(spaces + word)
				at += len(spaces) + n
			}
		}
	}
	return out.String()
}
