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
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
)

// Fault is one thing that does not fit.
type Fault struct {
	Path string // spec.containers[0].image; "" = the document itself
	Text string // the whole message, the path in it
}

// Faults are what a document has wrong.
type Faults struct {
	Loose []Fault // unknown and duplicate fields: tolerable if the caller says so
	Wrong []Fault // values of the wrong type
}

// Inspect walks a JSON document along the type of `into` and names every fault by its full path. The error is that of a document
// which is not JSON.
func Inspect(data []byte, into any) (Faults, error) {
	i := inspector{dec: json.NewDecoder(bytes.NewReader(data)), root: reflect.TypeOf(into)}
	err := i.value(i.root, "")
	if _, more := i.dec.Token(); err == nil && more != io.EOF {
		err = errors.New("there is something after the end of the JSON object")
	}
	if err != nil {
		return Faults{}, fmt.Errorf("not a JSON object (byte %d): %w", i.dec.InputOffset(), err)
	}
	return i.Faults, nil
}

type inspector struct {
	dec  *json.Decoder
	root reflect.Type
	Faults
}

func (i *inspector) value(t reflect.Type, path string) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case reflect.PointerTo(t).Implements(unmarshaler):
		return i.leaf(t, path)
	case t.Kind() == reflect.Struct:
		return i.object(t, path)
	case t.Kind() == reflect.Map:
		return i.object(t, path)
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		return i.list(t, path)
	}
	return i.leaf(t, path)
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// leaf decodes a value as a whole.
func (i *inspector) leaf(t reflect.Type, path string) error {
	var raw json.RawMessage
	if err := i.dec.Decode(&raw); err != nil {
		return err
	}
	if err := json.Unmarshal(raw, reflect.New(t).Interface()); err != nil {
		i.mistyped(path, wrongLeaf(t, raw, err))
	}
	return nil
}

func (i *inspector) mistyped(path, why string) {
	i.Wrong = append(i.Wrong, Fault{path, orRoot(path) + ": " + why})
}

func wrongLeaf(t reflect.Type, raw []byte, err error) string {
	if bad, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Sprintf("must be %s, not %s (%.40s)", words(t), bad.Value, raw)
	}
	return fmt.Sprintf("%v (%.40s)", err, raw)
}

// opens consumes the token that begins an object or a list; false if there is another value instead, which is skipped.
func (i *inspector) opens(delim json.Delim, t reflect.Type, path string) (bool, error) {
	token, err := i.dec.Token()
	if err != nil || token == delim {
		return token == delim, err
	}
	if token == nil { // null: as if absent
		return false, nil
	}
	i.mistyped(path, fmt.Sprintf("must be %s, not %s", words(t), tokenWords(token)))
	if _, nested := token.(json.Delim); nested {
		return false, i.skipRest()
	}
	return false, nil
}

func (i *inspector) object(t reflect.Type, path string) error {
	ok, err := i.opens('{', t, path)
	if !ok {
		return err
	}
	seen := map[string]bool{}
	for i.dec.More() {
		token, err := i.dec.Token()
		if err != nil {
			return err
		}
		name := token.(string)
		if err := i.member(t, path, name, seen[name]); err != nil {
			return err
		}
		seen[name] = true
	}
	_, err = i.dec.Token()
	return err
}

func (i *inspector) member(t reflect.Type, path, name string, again bool) error {
	at := join(path, name)
	if again {
		i.Loose = append(i.Loose, Fault{at, fmt.Sprintf("duplicate field %q", at)})
	}
	if t.Kind() == reflect.Map {
		return i.value(t.Elem(), at)
	}
	if f, ok := fieldsOf(t)[name]; ok {
		return i.value(f, at)
	}
	if !again {
		i.Loose = append(i.Loose, Fault{at, fmt.Sprintf("unknown field %q", at) + suggest(i.root, t, name)})
	}
	return i.dec.Decode(new(json.RawMessage))
}

func (i *inspector) list(t reflect.Type, path string) error {
	ok, err := i.opens('[', t, path)
	if !ok {
		return err
	}
	for n := 0; i.dec.More(); n++ {
		if err := i.value(t.Elem(), fmt.Sprintf("%s[%d]", path, n)); err != nil {
			return err
		}
	}
	_, err = i.dec.Token()
	return err
}

// skipRest consumes what is left of an object or list that has been opened.
func (i *inspector) skipRest() error {
	for depth := 1; depth > 0; {
		token, err := i.dec.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
	return nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func orRoot(path string) string {
	if path == "" {
		return "the document"
	}
	return path
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
