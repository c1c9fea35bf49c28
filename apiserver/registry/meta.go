package registry

import (
	"fmt"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/internal/api"
)

// maxBase leaves room for the five random characters in a label-sized name.
const maxBase = 63 - 5

// checkBody compares a body with the target that it was sent to, and completes its identity from there.
func (k *resource) checkBody(body api.Object, want api.Object, key api.Key) error {
	if reflect.TypeOf(body) != reflect.TypeOf(want) {
		return apierrors.NewBadRequest(fmt.Sprintf("the object provided is unrecognized (must be of type %s): it is a %T", gvk(want).Kind, body))
	}
	if err := sameType(gvk(body), gvk(want)); err != nil {
		return err
	}
	switch {
	case body.GetNamespace() != "" && body.GetNamespace() != key.Namespace && (k.Namespaced || key.Namespace != ""):
		return apierrors.NewBadRequest(fmt.Sprintf("the namespace of the provided object (%s) does not match the namespace sent on the request (%s)",
			body.GetNamespace(), key.Namespace))
	case body.GetName() != "" && key.Name != "" && body.GetName() != key.Name:
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", body.GetName(), key.Name))
	}
	body.GetObjectKind().SetGroupVersionKind(gvk(want))
	if k.Namespaced {
		body.SetNamespace(key.Namespace)
	}
	if body.GetName() == "" && body.GetGenerateName() == "" {
		body.SetName(key.Name)
	}
	return nil
}

// sameType compares what a body says that it is with what is wanted; it may leave that out.
func sameType(have, want schema.GroupVersionKind) error {
	switch {
	case have.Kind != "" && have.Kind != want.Kind:
		return apierrors.NewBadRequest(fmt.Sprintf("the kind in the data (%s) does not match the expected kind (%s)", have.Kind, want.Kind))
	case have.Version != "" && have.GroupVersion() != want.GroupVersion():
		return apierrors.NewBadRequest(fmt.Sprintf("the API version in the data (%s) does not match the expected API version (%s)",
			have.GroupVersion(), want.GroupVersion()))
	}
	return nil
}

// begin sets what the system owns in a new object's metadata.
func (k *resource) begin(o api.Object) {
	if base := o.GetGenerateName(); o.GetName() == "" && base != "" {
		o.SetName(base[:min(len(base), maxBase)] + rand.String(5))
	}
	keepSystemMeta(o, &metav1.ObjectMeta{Name: o.GetName(), Namespace: o.GetNamespace(), GenerateName: o.GetGenerateName(),
		UID: uuid.NewUUID(), CreationTimestamp: metav1.Now().Rfc3339Copy()})
	if k.counted() {
		o.SetGeneration(1)
	}
}

// keepSystemMeta takes from a body what its author may write, and the rest from what the system knows (which has no managedFields).
func keepSystemMeta(o api.Object, known *metav1.ObjectMeta) {
	body, kept := metaOf(o), *known
	kept.Labels, kept.Annotations, kept.OwnerReferences, kept.Finalizers = body.Labels, body.Annotations, body.OwnerReferences, body.Finalizers
	*body = kept
}

func metaOf(o api.Object) *metav1.ObjectMeta {
	return o.(metav1.ObjectMetaAccessor).GetObjectMeta().(*metav1.ObjectMeta)
}

func (k *resource) checkMeta(o, old api.Object) field.ErrorList {
	at := field.NewPath("metadata")
	faults := apivalidation.ValidateObjectMetaAccessor(o, k.Namespaced, k.rules.Name, at)
	if old != nil {
		faults = append(faults, apivalidation.ValidateObjectMetaAccessorUpdate(o, old, at)...)
	}
	return faults
}

// unmet says which precondition a state of an object does not meet; nil if all hold.
func unmet(k *api.Kind, o api.Object, p api.Preconditions) error {
	switch {
	case p.UID != "" && p.UID != o.GetUID():
		return k.Conflict(o.GetName(), fmt.Errorf("the UID in the precondition (%s) does not match the UID in record (%s). "+
			"The object might have been deleted and then recreated", p.UID, o.GetUID()))
	case p.Revision != 0 && p.Revision != api.RevisionOf(o):
		return k.Conflict(o.GetName(), fmt.Errorf("the ResourceVersion in the precondition (%s) does not match the ResourceVersion in record (%s). "+
			"The object might have been modified", p.Revision, o.GetResourceVersion()))
	}
	return nil
}

// outdated compares the uid and resourceVersion that a body carries with the state that it would replace.
func outdated(k *api.Kind, body, old api.Object) error {
	switch {
	case body.GetResourceVersion() != "" && body.GetResourceVersion() != "0" && body.GetResourceVersion() != old.GetResourceVersion():
		return k.Conflict(old.GetName(), errModified)
	case body.GetUID() != "" && body.GetUID() != old.GetUID():
		return k.Conflict(old.GetName(), fmt.Errorf("Precondition failed: UID in precondition: %s, UID in object meta: %s", body.GetUID(), old.GetUID()))
	}
	return nil
}
