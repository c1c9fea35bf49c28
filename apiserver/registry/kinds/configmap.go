package kinds

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func configMapRules() registry.Rules {
	return stored(api.ConfigMapKind, func(_ string, c, old *corev1.ConfigMap) field.ErrorList {
		return frozen(old.Immutable, c.Immutable, map[string][2]any{"data": {c.Data, old.Data}, "binaryData": {c.BinaryData, old.BinaryData}})
	}, column("Data", "integer", "The number of keys.", func(c *corev1.ConfigMap) any { return int64(len(c.Data) + len(c.BinaryData)) }), registry.AgeColumn)
}

var configMapChecks = []rule{each(func(_ *field.Path, c *corev1.ConfigMap) (faults field.ErrorList) {
	data := field.NewPath("data")
	text, size := dataKeys(data, c.Data)
	binary, more := dataKeys(field.NewPath("binaryData"), c.BinaryData)
	for key := range c.Data {
		_, twice := c.BinaryData[key]
		faults = append(faults, when(twice, field.Invalid(data.Key(key), key, "duplicate of key present in binaryData"))...)
	}
	faults = append(faults, when(size+more > corev1.MaxSecretSize, field.TooLong(field.NewPath(""), "", corev1.MaxSecretSize))...)
	return slices.Concat(faults, text, binary)
})}

// dataKeys checks the keys of a ConfigMap or Secret, which become names of files, and sums up what they hold.
func dataKeys[V ~string | ~[]byte](at *field.Path, data map[string]V) (faults field.ErrorList, size int) {
	for key, value := range data {
		faults = append(faults, invalid(at.Key(key), key, validation.IsConfigMapKey(key))...)
		size += len(value)
	}
	return faults, size
}

// frozen: what was once marked immutable stays so, and so does what it holds.
func frozen(before, mark *bool, contents map[string][2]any) (faults field.ErrorList) {
	if !deref(before) {
		return nil
	}
	const message = "field is immutable when `immutable` is set"
	if !deref(mark) {
		faults = append(faults, field.Forbidden(field.NewPath("immutable"), message))
	}
	for name, pair := range contents {
		if len(immutable(field.NewPath(name), pair[0], pair[1])) > 0 {
			faults = append(faults, field.Forbidden(field.NewPath(name), message))
		}
	}
	return faults
}
