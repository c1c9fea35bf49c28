package printer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"optimist/internal/api"
)

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
	if format == "name" {
		_, err := fmt.Fprintln(out, item.Name())
		return err
	}
	return write(out, format, clean(item, managed))
}

// Objects prints several as one List.
func Objects(out io.Writer, format string, items []Item, managed bool) error {
	list := struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
		Items []api.Object `json:"items"`
	}{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "List"}, Items: []api.Object{}}
	for _, item := range items {
		list.Items = append(list.Items, clean(item, managed))
	}
	return write(out, format, list)
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
		var indented bytes.Buffer
		if data, err = yaml.YAMLToJSON(data); err != nil {
			return err
		}
		if err := json.Indent(&indented, data, "", "    "); err != nil {
			return err
		}
		data = append(indented.Bytes(), '\n')
	}
	_, err = out.Write(data)
	return err
}
