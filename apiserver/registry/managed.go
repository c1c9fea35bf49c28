package registry

import (
	"context"
	"fmt"
	"sync"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"optimist/internal/api"
	types "optimist/internal/schema"
)

// Who set which field stands in metadata.managedFields: of objects that were created or applied under a manager's name. What the system's own
// components write (without one) is untracked until then; afterwards they stand there under their users' names. See docs/adr/0015.

// converter knows the shape of every type: which lists are maps, by which keys. It is made by the first write that needs it: 30 ms, 0.7 MB.
var converter = sync.OnceValues(func() (managedfields.TypeConverter, error) {
	all, err := types.Definitions()
	if err != nil {
		return nil, err
	}
	return managedfields.NewTypeConverter(all, false)
})

// track notes in a new state who changed what of the old one, which is nil on create. sent is what the body says of managedFields: nothing, or a
// correction, or (empty, or one empty entry) that they shall be forgotten.
func (w *write) track(ctx context.Context, o, old api.Object, sent []metav1.ManagedFieldsEntry) {
	manager := w.Manager
	if manager == "" {
		user, _ := api.UserFrom(ctx)
		manager, sent = user.Name[:min(len(user.Name), metavalidation.FieldManagerMaxLength)], nil
	}
	switch {
	case w.applies(): // has noted it already
		o.SetManagedFields(sent)
		return
	case old == nil && w.Manager == "", old != nil && len(old.GetManagedFields())+len(sent) == 0:
		return
	case old == nil:
		old = w.fresh()
	}
	fields, err := w.fieldManager()
	if err == nil {
		o.SetManagedFields(sent)
		_, err = fields.Update(old, o, manager)
	}
	if err != nil { // no reason to refuse the write
		w.registry.options.Log.Error("managedFields could not be kept", "kind", w.Kind.String(), "key", w.Key.String(), "error", err)
		o.SetManagedFields(old.GetManagedFields())
	}
}

// keepTimes takes back the times of managedFields if nothing else has changed: such a write is none.
func keepTimes(o, old api.Object) {
	now := o.GetManagedFields()
	if len(now) == 0 || len(now) != len(old.GetManagedFields()) {
		return
	}
	for i, e := range old.GetManagedFields() {
		if e.Time = now[i].Time; !apiequality.Semantic.DeepEqual(e, now[i]) {
			return
		}
	}
	o.SetManagedFields(old.GetManagedFields())
	if !apiequality.Semantic.DeepEqual(o, old) {
		o.SetManagedFields(now)
	}
}

// encodeManaged is encode, but lets go of managedFields rather than refuse an object as too large.
func (w *write) encodeManaged(o api.Object) ([]byte, error) {
	payload, err := w.encode(o)
	if len(payload) > maxObject && len(o.GetManagedFields()) > 0 && !w.applies() {
		o.SetManagedFields(nil)
		return w.encode(o)
	}
	return payload, err
}

// fieldManager is apimachinery's, for what the request writes and in the version that it speaks.
func (w *write) fieldManager() (*managedfields.FieldManager, error) {
	types, err := converter()
	if err != nil {
		return nil, err
	}
	reset := map[fieldpath.APIVersion]fieldpath.Filter{}
	for _, v := range w.Versions {
		reset[fieldpath.APIVersion(w.GVK(v.Name).GroupVersion().String())] = w.reset()
	}
	all := versions{w.resource}
	return managedfields.NewDefaultFieldManager(types, all, all, all, w.GVK(w.Version), w.kept.GVK("").GroupVersion(), w.Sub, reset)
}

// reset leaves what the part written does have: whoever applies the rest does not own it.
func (w *write) reset() fieldpath.Filter {
	switch {
	case w.Sub == "status" || w.Sub == "approval":
		return fieldpath.NewIncludeMatcherFilter(fieldpath.MakePrefixMatcherOrDie("status"))
	case w.status.Name != "":
		return fieldpath.NewExcludeSetFilter(fieldpath.NewSet(fieldpath.MakePathOrDie("status")))
	}
	return fieldpath.NewExcludeSetFilter(fieldpath.NewSet())
}

// versions is a kind as apimachinery wants to see it: it makes objects and converts them. It fills nothing in: that is done later.
type versions struct{ *resource }

func (v versions) New(gvk schema.GroupVersionKind) (runtime.Object, error) {
	if gvk.Group != v.Group {
		return v.kept.New(gvk.Version)
	}
	return v.Kind.New(gvk.Version)
}

func (v versions) Default(runtime.Object) {}

func (v versions) ConvertToVersion(in runtime.Object, to runtime.GroupVersioner) (runtime.Object, error) {
	if doc, ok := in.(*unstructured.Unstructured); ok {
		typed, err := v.New(doc.GroupVersionKind())
		if err == nil {
			err = runtime.DefaultUnstructuredConverter.FromUnstructured(doc.Object, typed)
		}
		if err != nil {
			return nil, err
		}
		in = typed
	}
	return v.convert(in.(api.Object), to) // managers of a version that is gone are forgotten
}

func (v versions) Convert(_, _, _ any) error { return fmt.Errorf("%s is converted as a whole", v.Kind) }

func (v versions) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}
