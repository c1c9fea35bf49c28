package registry

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	kubejson "k8s.io/apimachinery/pkg/util/json"

	"optimist/internal/api"
)

// A server-side apply says what its manager wants of an object, and no more:
//
//	configuration ─▶ merge into what is ─▶ take out what this manager applied before, and nobody else has ─▶ whose are the fields that change?
//
// Another manager's: Conflict, unless forced. What is not there is created.

// applies reports a server-side apply.
func (w *write) applies() bool { return w.Patch != nil && w.Patch.Type == types.ApplyYAMLPatchType }

// checkManager refuses managers that cannot be written down, an apply without one, and force for anything else.
func checkManager(r api.Request) error {
	if r.Manager == "" && r.Patch == nil && !r.Force {
		return nil
	}
	o, patch := metav1.PatchOptions{FieldManager: r.Manager}, types.MergePatchType
	if r.Patch != nil {
		patch = r.Patch.Type
	}
	if r.Force {
		o.Force = &r.Force
	}
	if faults := metavalidation.ValidatePatchOptions(&o, patch); len(faults) > 0 {
		return apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "PatchOptions"}, "", faults)
	}
	return nil
}

// configuration decodes what is applied, as strictly as a body; a scale becomes a configuration of what is scaled.
func (w *write) configuration(p Sub) (api.Object, error) {
	if p.Get == nil {
		return nil, apierrors.NewMethodNotSupported(w.Resource(), "patch of "+w.Sub)
	}
	data, doubles, err := asJSON(api.Raw{MediaType: "application/yaml", Data: w.Patch.Data})
	var c unstructured.Unstructured
	if err == nil {
		err = kubejson.Unmarshal(data, &c.Object)
	}
	if err == nil && c.Object == nil {
		err = errors.New("it must be an object")
	}
	if err != nil {
		return nil, badPatch(err)
	}
	want := p.New()
	if err := checkType(data, want); err != nil {
		return nil, err
	}
	if c.GroupVersionKind() != gvk(want) {
		return nil, badPatch(fmt.Errorf("an apply must say its apiVersion and kind: %s, %s", gvk(want).GroupVersion(), gvk(want).Kind))
	}
	if err := w.decodeJSON(data, want, doubles...); err != nil {
		return nil, err
	}
	if w.Sub == "scale" {
		replicas, set, _ := unstructured.NestedFieldNoCopy(c.Object, "spec", "replicas")
		c.Object = map[string]document{"metadata": c.Object["metadata"], "spec": map[string]document{}}
		c.SetGroupVersionKind(w.GVK(w.Version))
		if set {
			c.Object["spec"] = map[string]document{"replicas": replicas}
		}
	}
	return &c, nil
}

// merged is the part of an object as the applied configuration would have it, with the managedFields of the whole.
func (w *write) merged(p Sub, old, configuration api.Object) (api.Object, error) {
	fields, err := w.fieldManager()
	if err != nil {
		return nil, internalError(err)
	}
	whole, err := fields.Apply(old, configuration, w.Manager, w.Force)
	if worded := apierrors.APIStatus(nil); err != nil && !errors.As(err, &worded) {
		err = apierrors.NewBadRequest(err.Error())
	}
	if err != nil {
		return nil, err
	}
	part, err := p.Get(whole.(api.Object))
	if err != nil {
		return nil, err
	}
	part.SetManagedFields(whole.(api.Object).GetManagedFields())
	return part, nil
}

// applyNew creates what a configuration describes.
func (w *write) applyNew(ctx context.Context, p Sub, configuration api.Object) (api.Result, error) {
	o, err := w.merged(p, w.fresh(), configuration)
	switch {
	case err != nil:
		return api.Result{}, err
	case o.GetUID() != "":
		return api.Result{}, w.Conflict(w.Key.Name, fmt.Errorf("uid mismatch: the provided object specified uid %s, and no existing object was found", o.GetUID()))
	case o.GetName() == "":
		return api.Result{}, apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s based on URL) was undeterminable: name must be provided", w.Key.Name))
	}
	o.SetResourceVersion("")
	creation := *w
	creation.Verb = api.VerbCreate
	res, err := creation.insert(ctx, p, o)
	w.warnings = creation.warnings
	res.Created = err == nil
	return res, err
}
