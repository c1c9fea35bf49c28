package kinds

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func configMapRules() registry.Rules {
	return registry.Rules{
		Kind:     api.ConfigMapKind,
		Validate: validate(validateConfigMap),
		Columns: []registry.Column{
			nameColumn(),
			column("Data", "integer", "The number of keys.", func(c *corev1.ConfigMap) any { return int64(len(c.Data) + len(c.BinaryData)) }),
			ageColumn(),
		},
	}
}

func validateConfigMap(_ string, c, old *corev1.ConfigMap) (faults field.ErrorList) {
	size, data, binary := 0, field.NewPath("data"), field.NewPath("binaryData")
	for key, value := range c.Data {
		faults = append(faults, invalid(data.Key(key), key, validation.IsConfigMapKey(key))...)
		if _, twice := c.BinaryData[key]; twice {
			faults = append(faults, field.Invalid(data.Key(key), key, "duplicate of key present in binaryData"))
		}
		size += len(value)
	}
	for key, value := range c.BinaryData {
		faults = append(faults, invalid(binary.Key(key), key, validation.IsConfigMapKey(key))...)
		size += len(value)
	}
	if size > corev1.MaxSecretSize {
		faults = append(faults, field.TooLong(field.NewPath(""), "", corev1.MaxSecretSize))
	}
	if old != nil && deref(old.Immutable) {
		faults = append(faults, frozen(c.Immutable, map[string][2]any{"data": {c.Data, old.Data}, "binaryData": {c.BinaryData, old.BinaryData}})...)
	}
	return faults
}

// frozen: what was once marked immutable stays so, and so does what it holds.
func frozen(mark *bool, contents map[string][2]any) (faults field.ErrorList) {
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
