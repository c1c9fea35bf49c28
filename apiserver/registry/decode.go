package registry

import (
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"optimist/internal/api"
)

// decodeBody returns the body of a request as a typed object; into is empty and of the type wanted.
func (w *write) decodeBody(into api.Object) (api.Object, error) {
	switch {
	case w.Body != nil:
		return w.Body, nil
	case w.Raw != nil:
		data, err := w.asJSON()
		if err != nil {
			return nil, err
		}
		return into, w.decodeJSON(data, into)
	}
	return nil, apierrors.NewBadRequest("the request has no body")
}

// asJSON converts a YAML body.
func (w *write) asJSON() ([]byte, error) {
	switch w.Raw.MediaType {
	case "application/json":
		return w.Raw.Data, nil
	case "application/yaml":
		data, err := yaml.YAMLToJSONStrict(w.Raw.Data)
		if err == nil || w.fieldsMatter() {
			return data, w.refused(err)
		}
		if w.Validation == api.Warn {
			w.warnings = slices.Concat(w.warnings, []string{err.Error()})
		}
		data, err = yaml.YAMLToJSON(w.Raw.Data)
		return data, w.refused(err)
	}
	return nil, unsupported(fmt.Sprintf("a body in %q is not supported; use application/json or application/yaml", w.Raw.MediaType))
}

func (w *write) fieldsMatter() bool { return w.Validation == "" || w.Validation == api.Strict }

func (w *write) refused(err error) error {
	if err == nil {
		return nil
	}
	return apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v", w.Name, w.GVK(w.Version).Version, w.Name, err))
}

// decodeJSON fills an empty object. All faults are reported at once; what becomes of unknown and duplicate fields is the caller's choice.
func (w *write) decodeJSON(data []byte, into api.Object) error {
	faults, err := inspect(data, into)
	if err != nil {
		return w.refused(err)
	}
	if w.Validation == api.Warn {
		w.warnings = slices.Concat(w.warnings, faults.loose)
	}
	words := faults.wrong
	if w.fieldsMatter() && len(faults.loose) > 0 {
		words = append(words, "strict decoding error: "+strings.Join(faults.loose, ", "))
	}
	if len(words) > 0 {
		return w.refused(fmt.Errorf("%s", strings.Join(words, "; ")))
	}
	return w.refused(kjson.UnmarshalCaseSensitivePreserveInts(data, into))
}
