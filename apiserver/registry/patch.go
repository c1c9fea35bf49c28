package registry

import (
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	kubejson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	kjson "sigs.k8s.io/json"

	"optimist/internal/api"
)

// document is a JSON value whose shape is the author's: patches work on documents, not on types.
type document = any

// patched is the part of an object as a patch would have it, decoded as strictly as a body.
func (w *write) patched(p part, old api.Object) (api.Object, error) {
	if w.Patch == nil {
		return nil, apierrors.NewBadRequest("the request has no patch")
	}
	if p.read == nil {
		return nil, apierrors.NewMethodNotSupported(w.Resource(), "patch of "+w.Sub)
	}
	before, err := runtime.DefaultUnstructuredConverter.ToUnstructured(p.read(old))
	if err != nil {
		return nil, internalError(err)
	}
	after, err := w.applied(before, p.fresh())
	if err != nil {
		return nil, err
	}
	return w.typed(after, p.fresh)
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
		return w.applyOperations(before)
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
	return nil, unsupported(fmt.Sprintf("a patch of type %q is not supported; use %s, %s or %s",
		w.Patch.Type, types.StrategicMergePatchType, types.MergePatchType, types.JSONPatchType))
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
		return nil, apierrors.NewBadRequest(fmt.Sprintf("error decoding patch: %v", err))
	}
	return change, nil
}

// merge is RFC 7396: objects merge, null removes, anything else replaces.
func merge(before, change document) document {
	changes, ok := change.(map[string]document)
	if !ok {
		return change
	}
	after := map[string]document{}
	if fields, ok := before.(map[string]document); ok {
		for name, value := range fields {
			after[name] = value
		}
	}
	for name, value := range changes {
		if value == nil {
			delete(after, name)
			continue
		}
		after[name] = merge(after[name], value)
	}
	return after
}

// applyOperations applies a JSON patch (RFC 6902).
func (w *write) applyOperations(before document) (document, error) {
	var ops []operation
	if err := kubejson.Unmarshal(w.Patch.Data, &ops); err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("error decoding patch: %v", err))
	}
	if len(ops) > maxOperations {
		return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("the allowed maximum operations in a JSON patch is %d, got %d", maxOperations, len(ops)))
	}
	for n, op := range ops {
		after, err := op.apply(before)
		if err != nil {
			return nil, w.invalidPatch(fmt.Errorf("operation %d (%s %s): %w", n, op.Op, op.Path, err))
		}
		before = after
	}
	return before, nil
}
