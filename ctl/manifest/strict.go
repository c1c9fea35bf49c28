package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	kjson "sigs.k8s.io/json"

	"optimist/internal/api"
)

// check decodes a document into its kind's type, only to see whether it fits: all unknown fields, or the first wrong type.
func (o Options) check(p parsed, kind *api.Kind, version string) []error {
	typed, err := kind.New(version)
	if err != nil {
		return []error{&Fault{Source: p.source, Err: err}}
	}
	unknown, err := kjson.UnmarshalStrict(p.json, typed)
	if err != nil {
		return []error{p.wrongType(err)}
	}
	var faults []error
	for _, e := range unknown {
		fault := p.unknownField(e, reflect.TypeOf(typed))
		switch o.Validation {
		case api.Warn:
			o.Warn(fault.Error())
		case api.Strict, "":
			faults = append(faults, fault)
		}
	}
	return faults
}

func (p parsed) unknownField(err error, in reflect.Type) error {
	at := p.source
	var fieldError kjson.FieldError
	if !errors.As(err, &fieldError) {
		return &Fault{Source: at, Err: err}
	}
	path := fieldError.FieldPath()
	at.Line = lineOf(p.node, path, at.Line)
	hint := ""
	if near := nearestField(in, path); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
	}
	return &Fault{Source: at, Err: fmt.Errorf("%w%s", err, hint)}
}

func (p parsed) wrongType(err error) error {
	at := p.source
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		path := pathAt(p.json, wrong.Offset)
		at.Line = lineOf(p.node, path, at.Line)
		err = fmt.Errorf("%s must be %s, not %s", path, inWords(wrong.Type), wrong.Value)
	}
	return &Fault{Source: at, Err: err}
}

func inWords(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.String:
		return "a string (put it in quotes)"
	case reflect.Slice, reflect.Array:
		return "a list"
	default:
		return "an object"
	}
}

// nearestField walks the Go type along a path like spec.containers[0].imgae and looks among the neighbours of its last name.
func nearestField(t reflect.Type, path string) string {
	steps := strings.Split(path, ".")
	for _, step := range steps[:len(steps)-1] {
		name, _, _ := strings.Cut(step, "[")
		if t = element(fields(t)[name]); t == nil {
			return ""
		}
	}
	last, _, _ := strings.Cut(steps[len(steps)-1], "[")
	var names []string
	for name := range fields(element(t)) {
		names = append(names, name)
	}
	return Nearest(last, names)
}

// element looks through pointers, lists and maps.
func element(t reflect.Type) reflect.Type {
	for t != nil && (t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map) {
		t = t.Elem()
	}
	return t
}

// fields returns a struct's fields by their names in JSON, those of embedded structs among them.
func fields(t reflect.Type) map[string]reflect.Type {
	all := map[string]reflect.Type{}
	if t = element(t); t == nil || t.Kind() != reflect.Struct {
		return all
	}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			all[name] = f.Type
		}
	}
	return all
}

// pathAt returns the path of the value that ends at an offset of a JSON text.
func pathAt(data []byte, offset int64) string {
	d := json.NewDecoder(bytes.NewReader(data))
	return walk(d, "", offset)
}

// walk reads one value and returns the path of what ends at the offset within it, or "".
func walk(d *json.Decoder, path string, offset int64) string {
	token, err := d.Token()
	if err != nil || d.InputOffset() >= offset {
		return path
	}
	open, ok := token.(json.Delim)
	if !ok {
		return ""
	}
	for i := 0; d.More(); i++ {
		child := fmt.Sprintf("%s[%d]", path, i)
		if open == '{' {
			name, _ := d.Token()
			child = strings.TrimPrefix(fmt.Sprintf("%s.%s", path, name), ".")
		}
		if found := walk(d, child, offset); found != "" {
			return found
		}
	}
	_, _ = d.Token() // the closing bracket
	if d.InputOffset() >= offset {
		return path
	}
	return ""
}
