package printer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"optimist/internal/api"
)

// Formats that -o takes for whole objects; "" and "wide" are tables.
var formats = []string{"json", "name", "wide", "yaml"}

// Check refuses what -o does not know.
func Check(format string) error {
	if format == "" || slices.Contains(formats, format) {
		return nil
	}
	return fmt.Errorf("unable to match a printer suitable for the output format %q, allowed formats are: %s", format, strings.Join(formats, ","))
}

// IsTable reports whether the format wants the server's rows.
func IsTable(format string) bool { return format == "" || format == "wide" }

// Item is an object to print and its kind.
type Item struct {
	Kind   *api.Kind
	Object api.Object
}

// Name is pod/web or deployment.apps/web.
func (i Item) Name() string { return Named(i.Kind, i.Object.GetName()) }

// Named is pod/web or deployment.apps/web.
func Named(k *api.Kind, name string) string { return Singular(k) + "/" + name }

// Singular is pod or deployment.apps.
func Singular(k *api.Kind) string {
	if k.Group == "" {
		return k.Singular
	}
	return k.Singular + "." + k.Group
}

// Object prints one object as yaml, json or name.
func Object(out io.Writer, format string, item Item, managed bool) error {
	return write(out, format, clean(item, managed))
}

// Objects prints several as one List; names line by line.
func Objects(out io.Writer, format string, items []Item, managed bool) error {
	list := list{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "List"}, Items: []api.Object{}}
	for _, item := range items {
		list.Items = append(list.Items, clean(item, managed))
	}
	return write(out, format, list)
}

// Names prints a line an object.
func Names(out io.Writer, items []Item) error {
	for _, item := range items {
		if _, err := fmt.Fprintln(out, item.Name()); err != nil {
			return err
		}
	}
	return nil
}

type list struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        struct {
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
	Items []api.Object `json:"items"`
}

// clean returns a copy that says what it is, without the bookkeeping of field managers unless asked for.
func clean(item Item, managed bool) api.Object {
	o := item.Object.DeepCopyObject().(api.Object)
	if !managed {
		o.SetManagedFields(nil)
	}
	return api.Kinded(item.Kind, item.Object.GetObjectKind().GroupVersionKind().Version, o)
}

func write(out io.Writer, format string, v any) error {
	data, err := yaml.Marshal(v) // fields in alphabetical order, as kubectl prints them in both formats
	if err != nil {
		return err
	}
	if format == "json" {
		if data, err = indented(data); err != nil {
			return err
		}
	}
	_, err = out.Write(data)
	return err
}

func indented(text []byte) ([]byte, error) {
	data, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "    "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
