package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"optimist/internal/api"
	"optimist/internal/strict"
)

// given is what a request brings before anything is read: a body or an apply's configuration; nil for other patches, which are decoded with what they change.
func (w *write) given(p Sub) (api.Object, error) {
	switch {
	case w.applies():
		return w.configuration(p)
	case w.Verb == api.VerbPatch:
		return nil, nil
	}
	body, err := w.decodeBody(p.New())
	if err == nil {
		err = w.checkBody(body, p.New(), w.Key)
	}
	return body, err
}

// decodeBody returns the body of a request as a typed object; into is empty and of the type wanted.
func (w *write) decodeBody(into api.Object) (api.Object, error) {
	switch {
	case w.Body != nil:
		return w.Body, nil
	case w.Raw != nil:
		data, doubles, err := asJSON(*w.Raw)
		if err != nil {
			return nil, w.refused(err)
		}
		if err := checkType(data, into); err != nil {
			return nil, err
		}
		return into, w.decodeJSON(data, into, doubles...)
	}
	return nil, apierrors.NewBadRequest("the request has no body")
}

// checkType refuses a document of another kind before its fields are looked at; what cannot be read at all is reported with the rest.
func checkType(data []byte, want api.Object) error {
	var what metav1.TypeMeta
	if kjson.UnmarshalCaseSensitivePreserveInts(data, &what) != nil {
		return nil
	}
	return sameType(what.GroupVersionKind(), gvk(want))
}

// asJSON converts a YAML body. JSON has lost what was written twice, so that is named here, by its line.
func asJSON(r api.Raw) (data []byte, doubles []string, err error) {
	switch r.MediaType {
	case "application/json":
		return r.Data, nil, nil
	case "application/yaml":
		if json.Valid(r.Data) { // as kubectl sends it: 100 µs less
			return r.Data, nil, nil
		}
		if data, err = yaml.YAMLToJSON(r.Data); err != nil {
			return nil, nil, err
		}
		if _, strict := yaml.YAMLToJSONStrict(r.Data); strict != nil {
			doubles = []string{fmt.Sprintf("%.4000s", strings.Join(strings.Fields(strict.Error()), " "))}
		}
		return data, doubles, nil
	}
	return nil, nil, unsupported(fmt.Sprintf("a body in %q is not supported; use application/json or application/yaml", r.MediaType))
}

func (w *write) fieldsMatter() bool { return w.Validation == "" || w.Validation == api.Strict }

// refused says that a body is none of the kind.
func (w *write) refused(err error) error {
	if worded := apierrors.APIStatus(nil); err == nil || errors.As(err, &worded) {
		return err
	}
	return apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v", w.Name, w.GVK(w.Version).Version, w.Name, err))
}

// decodeJSON fills an empty object. All faults are reported at once; what becomes of unknown and duplicate
// fields (and of those that are known already to be loose) is the caller's choice.
func (w *write) decodeJSON(data []byte, into api.Object, loose ...string) error {
	faults, err := strict.Inspect(data, into)
	if err != nil {
		return w.refused(err)
	}
	loose = append(texts(faults.Loose), loose...)
	if w.Validation == api.Warn {
		w.warnings = slices.Concat(w.warnings, loose)
	}
	words := texts(faults.Wrong)
	if w.fieldsMatter() && len(loose) > 0 {
		words = append(words, "strict decoding error: "+strings.Join(loose, ", "))
	}
	if len(words) > 0 {
		return w.refused(fmt.Errorf("%s", strings.Join(words, "; ")))
	}
	return w.refused(kjson.UnmarshalCaseSensitivePreserveInts(data, into))
}

func texts(faults []strict.Fault) (all []string) {
	for _, f := range faults {
		all = append(all, f.Text)
	}
	return all
}

// Decode returns the body of a request that is answered before it reaches the registry: the typed one that came, or into, whose kind is set, filled.
func Decode[T api.Object](r api.Request, into T) (T, []string, error) {
	w := &write{resource: &resource{Kind: r.Kind}, Request: r}
	err := w.checkKey(r.Key, true) // else a namespace would lend a right to ask about all
	if err != nil {
		return into, nil, err
	}
	o, err := w.decodeBody(into)
	if err == nil && r.Sub == "" {
		err = w.checkBody(o, into, r.Key)
	}
	typed, ok := o.(T)
	if err == nil && !ok {
		err = apierrors.NewBadRequest(fmt.Sprintf("the body must be a %s", gvk(into).Kind))
	}
	return typed, w.warnings, err
}
