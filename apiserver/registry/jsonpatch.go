package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	kubejson "k8s.io/apimachinery/pkg/util/json"
)

const maxOperations = 10000

// operation is one step of a JSON patch.
type operation struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	From  string          `json:"from"`
	Value json.RawMessage `json:"value"`
}

// apply returns the document after the step. The document given is not kept.
func (o operation) apply(doc document) (document, error) {
	switch o.Op {
	case "add", "replace", "test":
		value, err := o.value()
		if err != nil {
			return nil, err
		}
		return o.with(doc, value)
	case "remove":
		return edit(doc, o.Path, take)
	case "copy", "move":
		value, err := at(doc, o.From)
		if err != nil {
			return nil, fmt.Errorf("from %s: %w", o.From, err)
		}
		if o.Op == "copy" {
			return edit(doc, o.Path, put(runtime.DeepCopyJSONValue(value)))
		}
		if strings.HasPrefix(o.Path, o.From+"/") {
			return nil, errors.New("a value cannot be moved into itself")
		}
		if doc, err = edit(doc, o.From, take); err != nil {
			return nil, err
		}
		return edit(doc, o.Path, put(value))
	}
	return nil, errors.New("unknown operation; there are add, remove, replace, move, copy and test")
}

func (o operation) value() (document, error) {
	if o.Value == nil {
		return nil, errors.New("a value is needed")
	}
	var wrapped []document // a list, because only inside of one are integers kept as integers
	err := kubejson.Unmarshal(slices.Concat([]byte("["), o.Value, []byte("]")), &wrapped)
	if err != nil || len(wrapped) != 1 {
		return nil, errors.Join(errors.New("the value is not JSON"), err)
	}
	return wrapped[0], nil
}

func (o operation) with(doc, value document) (document, error) {
	if o.Op == "add" {
		return edit(doc, o.Path, put(value))
	}
	have, err := at(doc, o.Path)
	if err != nil {
		return nil, err
	}
	if o.Op == "replace" {
		return edit(doc, o.Path, set(value))
	}
	if !reflect.DeepEqual(have, value) {
		return nil, errors.New("the test failed: the value there is another one")
	}
	return doc, nil
}

var errNowhere = errors.New("there is no such path")

// pointer splits an RFC 6901 pointer; "" is the whole document.
func pointer(path string) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	if path[0] != '/' {
		return nil, errors.New("a path must begin with /")
	}
	steps := strings.Split(path[1:], "/")
	for i, s := range steps {
		steps[i] = strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
	}
	return steps, nil
}

// at finds the value at a path.
func at(doc document, path string) (document, error) {
	steps, err := pointer(path)
	for _, step := range steps {
		if doc, err = child(doc, step); err != nil {
			return nil, err
		}
	}
	return doc, err
}

func child(parent document, step string) (document, error) {
	switch p := parent.(type) {
	case map[string]document:
		if value, ok := p[step]; ok {
			return value, nil
		}
	case []document:
		if n, err := index(step, len(p)-1); err == nil {
			return p[n], nil
		}
	}
	return nil, errNowhere
}

// index reads a list index between 0 and last.
func index(step string, last int) (int, error) {
	n, err := strconv.Atoi(step)
	if err != nil || n < 0 || n > last || strconv.Itoa(n) != step {
		return 0, errNowhere
	}
	return n, nil
}

// editor changes one member of a parent and returns the parent, which is another one when a list has grown or shrunk.
type editor func(parent document, step string) (document, error)

// edit applies an editor where a path ends.
func edit(doc document, path string, e editor) (document, error) {
	steps, err := pointer(path)
	if err != nil {
		return nil, err
	}
	root := map[string]document{"": doc} // so that the whole document is a member, too
	if _, err := descend(root, append([]string{""}, steps...), e); err != nil {
		return nil, err
	}
	return root[""], nil
}

func descend(parent document, steps []string, e editor) (document, error) {
	if len(steps) == 1 {
		return e(parent, steps[0])
	}
	c, err := child(parent, steps[0])
	if err != nil {
		return nil, err
	}
	if c, err = descend(c, steps[1:], e); err != nil {
		return nil, err
	}
	return set(c)(parent, steps[0])
}

// set replaces a member or adds one to an object.
func set(value document) editor {
	return func(parent document, step string) (document, error) {
		switch p := parent.(type) {
		case map[string]document:
			p[step] = value
			return p, nil
		case []document:
			n, err := index(step, len(p)-1)
			if err != nil {
				return nil, err
			}
			p[n] = value
			return p, nil
		}
		return nil, errNowhere
	}
}

// put is set, but inserts into lists; "-" is behind the last.
func put(value document) editor {
	return func(parent document, step string) (document, error) {
		p, ok := parent.([]document)
		if !ok {
			return set(value)(parent, step)
		}
		n, err := len(p), error(nil)
		if step != "-" {
			n, err = index(step, len(p))
		}
		if err != nil {
			return nil, err
		}
		return slices.Insert(p, n, value), nil
	}
}

// take removes a member.
func take(parent document, step string) (document, error) {
	if _, err := child(parent, step); err != nil {
		return nil, err
	}
	if p, ok := parent.([]document); ok {
		n, err := index(step, len(p)-1)
		return slices.Delete(p, n, n+1), err
	}
	delete(parent.(map[string]document), step)
	return parent, nil
}
