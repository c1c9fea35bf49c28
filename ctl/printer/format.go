package printer

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/template"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"optimist/internal/api"
)

// Format is how objects are printed: what -o and --template say, in kubectl's words.
type Format struct {
	Text, Template         string // "json", "jsonpath={.metadata.name}"; Template is what may stand in its own flag instead
	Managed, Missing, Bare bool   // show managedFields; a key that is not there is no error; no headers over custom columns
	Name                   string // after Parse: what stood before "=", "" and "wide" being tables
	encode                 encoder
	headers                []string // of custom-columns
	documents              int
}

// encoder writes the plain data of an object or of a List.
type encoder func(out io.Writer, data any) error

// formats make an encoder of what stands behind "=". Those whose name ends in "file" find that in a file.
var formats = map[string]func(f *Format, text string) (encoder, error){
	"json":     func(*Format, string) (encoder, error) { return JSON, nil },
	"yaml":     func(f *Format, _ string) (encoder, error) { return f.writeYAML, nil },
	"name":     func(*Format, string) (encoder, error) { return nil, nil },
	"wide":     func(*Format, string) (encoder, error) { return nil, nil },
	"jsonpath": func(f *Format, text string) (encoder, error) { return f.path(text, false) }, "jsonpath-file": nil,
	"jsonpath-as-json": func(f *Format, text string) (encoder, error) { return f.path(text, true) },
	"go-template":      goTemplate, "go-template-file": nil, "template": goTemplate, "templatefile": nil,
	"custom-columns": customColumns, "custom-columns-file": nil,
}

// Formats are what -o accepts, in order; those that need columns only where there are tables.
func Formats(tables bool) []string {
	all := slices.Sorted(maps.Keys(formats))
	return slices.DeleteFunc(all, func(name string) bool { return !tables && (name == "wide" || strings.HasPrefix(name, "custom")) })
}

// Parse understands the flags; tables says whether the command has any.
func (f *Format) Parse(tables bool) (err error) {
	name, text, _ := strings.Cut(f.Text, "=")
	if name == "" && f.Template != "" {
		name = "go-template"
	}
	if f.Name = name; name == "" {
		return nil
	}
	if allowed := Formats(tables); !slices.Contains(allowed, name) {
		return fmt.Errorf("unable to match a printer suitable for the output format %q, allowed formats are: %s", name, strings.Join(allowed, ","))
	}
	if text == "" {
		text = f.Template
	}
	switch columns := strings.HasPrefix(name, "custom"); {
	case text == "" && columns:
		return errors.New("custom-columns format specified but no custom columns given")
	case text == "" && (strings.HasPrefix(name, "jsonpath") || strings.Contains(name, "template")):
		return errors.New("template format specified but no template given")
	}
	if base, ok := strings.CutSuffix(name, "file"); ok {
		name = strings.TrimSuffix(base, "-")
		data, err := os.ReadFile(text)
		if err != nil {
			return fmt.Errorf("error reading --template %s, %w", text, err)
		}
		text = string(data)
		if name == "custom-columns" {
			text, err = twoLines(text)
		}
		if err != nil {
			return err
		}
	}
	f.encode, err = formats[name](f, text)
	return err
}

// Tabular reports whether objects go into the server's tables.
func (f *Format) Tabular() bool { return f.Name == "" || f.Name == "wide" }

// Object prints one.
func (f *Format) Object(out io.Writer, item Item) error {
	if f.Name == "name" {
		_, err := fmt.Fprintln(out, item.Name())
		return err
	}
	data, err := f.data(item)
	if err != nil {
		return err
	}
	return f.encode(out, data)
}

// Event prints what happened to an object; without a word for it, the object alone.
func (f *Format) Event(out io.Writer, what api.EventType, item Item) error {
	data, err := f.data(item)
	if err != nil || f.Name == "name" || what == "" {
		return f.Object(out, item)
	}
	return f.encode(out, map[string]any{"type": string(what), "object": data})
}

// Objects prints several as one List; as names, one after the other.
func (f *Format) Objects(out io.Writer, items []Item) error {
	list := make([]any, 0, len(items))
	for _, item := range items {
		data, err := f.data(item)
		if f.Name == "name" {
			err = f.Object(out, item)
		}
		if err != nil {
			return err
		}
		list = append(list, data)
	}
	if f.Name == "name" {
		return nil
	}
	return f.encode(out, map[string]any{"apiVersion": "v1", "kind": "List", "metadata": map[string]any{"resourceVersion": ""}, "items": list})
}

// data is the object as maps and lists. It says what it is, and leaves out the bookkeeping of field managers unless that is asked for.
func (f *Format) data(item Item) (data map[string]any, err error) {
	o := item.Object.DeepCopyObject().(api.Object)
	if !f.Managed {
		o.SetManagedFields(nil)
	}
	if gvk := o.GetObjectKind().GroupVersionKind(); gvk.Kind == "" {
		o = api.Kinded(item.Kind, gvk.Version, o)
	}
	return Data(o)
}

// Data is any value as the maps, lists, texts and numbers of its JSON.
func Data(v any) (data map[string]any, err error) {
	text, err := json.Marshal(v)
	if err == nil {
		err = utiljson.Unmarshal(text, &data)
	}
	return data, err
}

// JSON writes indented JSON.
func JSON(out io.Writer, data any) error {
	text, err := json.MarshalIndent(data, "", "    ") // fields in alphabetical order, for they are in maps
	if err == nil {
		_, err = fmt.Fprintf(out, "%s\n", text)
	}
	return err
}

// writeYAML begins every document but the first with a line that divides them.
func (f *Format) writeYAML(out io.Writer, data any) error {
	text, err := yaml.Marshal(data)
	if err == nil && f.documents > 0 {
		_, err = fmt.Fprintln(out, "---")
	}
	if f.documents++; err == nil {
		_, err = out.Write(text)
	}
	return err
}

func goTemplate(f *Format, text string) (encoder, error) {
	t, err := template.New("output").Funcs(template.FuncMap{"exists": exists, "base64decode": func(text string) (string, error) {
		data, err := base64.StdEncoding.DecodeString(text)
		return string(data), err
	}}).Option(map[bool]string{true: "missingkey=default", false: "missingkey=error"}[f.Missing]).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("error parsing template %s, %w", text, err)
	}
	return func(out io.Writer, data any) error {
		var all bytes.Buffer
		if err := t.Execute(&all, data); err != nil {
			return fmt.Errorf("error executing template %q: %w", text, err)
		}
		_, err := all.WriteTo(out)
		return err
	}, nil
}

// exists reports in templates whether a value has what the keys lead to.
func exists(value any, keys ...any) bool {
	for _, key := range keys {
		switch at := value.(type) {
		case map[string]any:
			name, _ := key.(string)
			value = at[name]
		case []any:
			i, ok := key.(int)
			if !ok || i < 0 || i >= len(at) {
				return false
			}
			value = at[i]
		default:
			return false
		}
	}
	return value != nil
}
