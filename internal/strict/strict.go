// Package strict holds a JSON document against a Go type and names everything that does not fit: fields that the type does not have, what stands
// there twice, values of the wrong type. encoding/json stops at the first of these, or says nothing at all.
//
//	{"spec": {"replcas": 3}}  ×  Deployment  ──▶  spec.replcas: unknown field "spec.replcas" (did you mean "replicas"?)
//
// It serves both ends: ctl, which knows the line that a field stands on, and the API server, which trusts nobody. Start reading at Inspect;
// suggest.go is what a person may have meant.
//
// Real Kubernetes: sigs.k8s.io/json finds unknown and duplicate fields, without a hint; kubectl used to check against the OpenAPI schema.
package strict

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
)

// most is how many faults of either sort are named, as in Kubernetes: to find out what was meant takes time, and a body has room for a million.
const most = 100

// Fault is one thing that does not fit.
type Fault struct {
	Path string // spec.containers[0].image; "" = the document itself
	Text string // the whole message, the path in it
}

// Faults are what a document has wrong, up to a hundred of each.
type Faults struct {
	Loose []Fault // unknown and duplicate fields: tolerable if the caller says so
	Wrong []Fault // values of the wrong type
}

// Inspect walks a JSON document along the type of `into` and names every fault by its full path. The error is that of a document
// which is not JSON.
func Inspect(data []byte, into any) (Faults, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	var whole json.RawMessage
	err := dec.Decode(&whole)
	at := dec.InputOffset()
	if bad, ok := errors.AsType[*json.SyntaxError](err); ok {
		at = bad.Offset
	} else if _, more := dec.Token(); err == nil && more != io.EOF {
		err = errors.New("there is something after the end of the JSON object")
	}
	if err != nil {
		return Faults{}, fmt.Errorf("not a JSON object (byte %d): %w", at, err)
	}
	i := inspector{dec: json.NewDecoder(bytes.NewReader(data)), root: reflect.TypeOf(into)}
	i.dec.UseNumber() // or numbers beyond all bounds would fail
	i.value(i.root, "")
	return i.Faults, nil
}

// inspector walks what is known to be JSON, so that its decoder cannot fail.
type inspector struct {
	dec  *json.Decoder
	root reflect.Type
	Faults
}

func (i *inspector) value(t reflect.Type, path string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case reflect.PointerTo(t).Implements(unmarshaler):
		i.leaf(t, path)
	case t.Kind() == reflect.Struct || t.Kind() == reflect.Map:
		i.object(t, path)
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		i.list(t, path)
	default:
		i.leaf(t, path)
	}
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// leaf decodes a value as a whole.
func (i *inspector) leaf(t reflect.Type, path string) {
	raw := i.raw()
	err := json.Unmarshal(raw, reflect.New(t).Interface())
	if bad, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		i.mistyped(path, fmt.Sprintf("must be %s, not %s (%.40s)", words(t), bad.Value, raw))
	} else if err != nil {
		i.mistyped(path, fmt.Sprintf("%v (%.40s)", err, raw))
	}
}

func (i *inspector) raw() (raw json.RawMessage) {
	_ = i.dec.Decode(&raw)
	return raw
}

func (i *inspector) token() json.Token {
	token, _ := i.dec.Token()
	return token
}

func (i *inspector) mistyped(path, why string) {
	if len(i.Wrong) == most {
		return
	}
	i.Wrong = append(i.Wrong, Fault{path, cmp.Or(path, "the document") + ": " + why})
}

// opens consumes the token that begins an object or a list; false if there is another value instead, which is skipped.
func (i *inspector) opens(delim json.Delim, t reflect.Type, path string) bool {
	token := i.token()
	if token == delim || token == nil { // null: as if absent
		return token == delim
	}
	i.mistyped(path, fmt.Sprintf("must be %s, not %s", words(t), tokenWords(token)))
	if other, nested := token.(json.Delim); nested {
		for i.dec.More() {
			if other == '{' {
				i.token()
			}
			i.raw()
		}
		i.token()
	}
	return false
}

func (i *inspector) object(t reflect.Type, path string) {
	if !i.opens('{', t, path) {
		return
	}
	seen := map[string]bool{}
	for i.dec.More() {
		name := i.token().(string)
		i.member(t, path, name, seen[name])
		seen[name] = true
	}
	i.token()
}

func (i *inspector) member(t reflect.Type, path, name string, again bool) {
	at, room := join(path, name), len(i.Loose) < most
	if again && room {
		i.Loose = append(i.Loose, Fault{at, fmt.Sprintf("duplicate field %q", at)})
	}
	if t.Kind() == reflect.Map {
		i.value(t.Elem(), at)
	} else if f, ok := fieldsOf(t)[name]; ok {
		i.value(f, at)
	} else if i.raw(); !again && room {
		i.Loose = append(i.Loose, Fault{at, fmt.Sprintf("unknown field %q", at) + suggest(i.root, t, name)})
	}
}

func (i *inspector) list(t reflect.Type, path string) {
	if !i.opens('[', t, path) {
		return
	}
	for n := 0; i.dec.More(); n++ {
		i.value(t.Elem(), fmt.Sprintf("%s[%d]", path, n))
	}
	i.token()
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func tokenWords(token json.Token) string {
	switch v := token.(type) {
	case json.Delim:
		return map[json.Delim]string{'{': "an object", '[': "a list"}[v]
	case string:
		return fmt.Sprintf("a string (%.40q)", v)
	case bool:
		return fmt.Sprintf("a boolean (%v)", v)
	}
	return fmt.Sprintf("a number (%v)", token)
}

// words name a Go type as an author of manifests knows it.
func words(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice:
		return "a list"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "a boolean"
	case reflect.Int32, reflect.Int64, reflect.Int:
		return "an integer"
	}
	return "a number"
}

var fieldTables sync.Map // reflect.Type → map[string]reflect.Type

// fieldsOf are a struct's fields by their JSON names, those of inlined structs among them.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if known, ok := fieldTables.Load(t); ok {
		return known.(map[string]reflect.Type)
	}
	fields := map[string]reflect.Type{}
	for n := range t.NumField() {
		f := t.Field(n)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case name == "" && f.Anonymous && f.Type.Kind() == reflect.Struct:
			for inner, typ := range fieldsOf(f.Type) {
				fields[inner] = typ
			}
		case name != "":
			fields[name] = f.Type
		}
	}
	fieldTables.Store(t, fields)
	return fields
}
