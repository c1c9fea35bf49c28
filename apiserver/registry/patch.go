package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	jsonpatch "github.com/evanphx/json-patch/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	kubejson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"

	"optimist/internal/api"
)

// document is a JSON value whose shape is the author's: patches work on documents, not on types.
type document = any

const maxOperations = 10000 // of a JSON patch

// patched is the part of an object as a patch would have it, decoded as strictly as a body.
func (w *write) patched(p Sub, old api.Object) (api.Object, error) {
	if w.Patch == nil {
		return nil, apierrors.NewBadRequest("the request has no patch")
	}
	if p.Get == nil {
		return nil, apierrors.NewMethodNotSupported(w.Resource(), "patch of "+w.Sub)
	}
	have, err := p.Get(old)
	if err != nil {
		return nil, err
	}
	before, err := runtime.DefaultUnstructuredConverter.ToUnstructured(have)
	if err != nil {
		return nil, internalError(err)
	}
	after, err := w.applied(before, p.New())
	if err != nil {
		return nil, err
	}
	return w.typed(after, p.New)
}

// typed decodes a document. The quick way tells only that something is wrong; the other names it.
func (w *write) typed(doc document, fresh func() api.Object) (api.Object, error) {
	if fields, ok := doc.(map[string]document); ok {
		into := fresh()
		if runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(fields, into, true) == nil {
			return into, nil
		}
	}
	data, err := json.Marshal(doc)
	if err != nil {
		return nil, internalError(err)
	}
	into := fresh()
	return into, w.decodeJSON(data, into)
}

// applied applies the patch to a document, by its type.
func (w *write) applied(before map[string]document, shape api.Object) (document, error) {
	switch w.Patch.Type {
	case types.JSONPatchType:
		ops, err := jsonpatch.DecodePatch(w.Patch.Data)
		if err != nil {
			return nil, badPatch(err)
		}
		if len(ops) > maxOperations {
			return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("the allowed maximum operations in a JSON patch is %d, got %d", maxOperations, len(ops)))
		}
		after, err := operate(before, ops)
		if err != nil { // well-formed, but not for this object
			return nil, w.Invalid(w.Key.Name, field.ErrorList{field.Invalid(field.NewPath("patch"), string(w.Patch.Data), err.Error())})
		}
		return after, nil
	case types.MergePatchType:
		change, err := w.patchDocument()
		return merge(before, change), err
	case types.StrategicMergePatchType:
		change, err := w.patchDocument()
		if err != nil {
			return nil, err
		}
		schema, err := strategicpatch.NewPatchMetaFromStruct(shape)
		if err != nil {
			return nil, internalError(err)
		}
		after, err := strategicpatch.StrategicMergeMapPatchUsingLookupPatchMeta(before, change, schema)
		if err != nil {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("the strategic merge patch cannot be applied: %v", err))
		}
		return map[string]document(after), nil
	}
	return nil, unsupported(fmt.Sprintf("a patch of type %q is not supported; use %s, %s, %s or %s",
		w.Patch.Type, types.StrategicMergePatchType, types.MergePatchType, types.JSONPatchType, types.ApplyYAMLPatchType))
}

// patchDocument parses a patch that looks like a part of the object.
func (w *write) patchDocument() (map[string]document, error) {
	var change map[string]document
	strict, err := kjson.UnmarshalStrict(w.Patch.Data, &change, kjson.DisallowDuplicateFields)
	if err == nil && change == nil {
		err = errors.New("it must be an object")
	}
	if err == nil && w.fieldsMatter() {
		err = errors.Join(strict...)
	}
	if err != nil {
		return nil, badPatch(err)
	}
	return change, nil
}

func badPatch(err error) error {
	return apierrors.NewBadRequest(fmt.Sprintf("error decoding patch: %v", err))
}

// merge is RFC 7396: objects merge, null removes, anything else replaces.
func merge(before, change document) document {
	changes, ok := change.(map[string]document)
	if !ok {
		return change
	}
	fields, _ := before.(map[string]document)
	after := map[string]document{}
	maps.Copy(after, fields)
	for name, value := range changes {
		if value == nil {
			delete(after, name)
			continue
		}
		after[name] = merge(after[name], value)
	}
	return after
}

// operate applies a JSON patch (RFC 6902). The library's "test" panics on lists that contain null.
func operate(before map[string]document, ops jsonpatch.Patch) (after map[string]document, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	data, err := json.Marshal(before)
	if err == nil {
		data, err = ops.ApplyWithOptions(data, &jsonpatch.ApplyOptions{AccumulatedCopySizeLimit: maxObject})
	}
	if err == nil {
		err = kubejson.Unmarshal(data, &after)
	}
	return after, err
}
