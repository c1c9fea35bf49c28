package kinds

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func secretRules() registry.Rules {
	return registry.Rules{
		Kind:     api.SecretKind,
		Default:  func(o api.Object) { defaultSecret(o.(*corev1.Secret)) },
		Validate: validate(validateSecret),
		Fields: map[string]func(api.Object) string{
			"type": selects(func(s *corev1.Secret) string { return string(s.Type) }),
		},
		Columns: []registry.Column{
			nameColumn(),
			column("Type", "string", "Which keys the secret must have.", func(s *corev1.Secret) any { return string(s.Type) }),
			column("Data", "integer", "The number of keys.", func(s *corev1.Secret) any { return int64(len(s.Data)) }),
			ageColumn(),
		},
	}
}

// defaultSecret also moves stringData, which is only a way to write data, to where it is kept.
func defaultSecret(s *corev1.Secret) {
	fill(&s.Type, corev1.SecretTypeOpaque)
	for key, text := range s.StringData {
		if s.Data == nil {
			s.Data = map[string][]byte{}
		}
		s.Data[key] = []byte(text)
	}
	s.StringData = nil
}

func validateSecret(_ string, s, old *corev1.Secret) (faults field.ErrorList) {
	size, data := 0, field.NewPath("data")
	for key, value := range s.Data {
		faults = append(faults, invalid(data.Key(key), key, validation.IsConfigMapKey(key))...)
		size += len(value)
	}
	if size > corev1.MaxSecretSize {
		faults = append(faults, field.TooLong(data, "", corev1.MaxSecretSize))
	}
	faults = append(faults, validateSecretType(s)...)
	if old == nil {
		return faults
	}
	faults = append(faults, immutable(field.NewPath("type"), s.Type, old.Type)...)
	if deref(old.Immutable) {
		faults = append(faults, frozen(s.Immutable, map[string][2]any{"data": {s.Data, old.Data}})...)
	}
	return faults
}

// secretKeys are the keys that a type demands.
var secretKeys = map[corev1.SecretType][]string{
	corev1.SecretTypeSSHAuth: {corev1.SSHAuthPrivateKey},
	corev1.SecretTypeTLS:     {corev1.TLSCertKey, corev1.TLSPrivateKeyKey},
}

// secretJSON is the key that must hold JSON, for types that have one.
var secretJSON = map[corev1.SecretType]string{
	corev1.SecretTypeDockercfg:        corev1.DockerConfigKey,
	corev1.SecretTypeDockerConfigJson: corev1.DockerConfigJsonKey,
}

func validateSecretType(s *corev1.Secret) (faults field.ErrorList) {
	data := field.NewPath("data")
	for _, key := range secretKeys[s.Type] {
		if _, ok := s.Data[key]; !ok {
			faults = append(faults, field.Required(data.Key(key), ""))
		}
	}
	if key, typed := secretJSON[s.Type]; typed {
		faults = append(faults, validateSecretJSON(data.Key(key), s.Data, key)...)
	}
	switch s.Type {
	case corev1.SecretTypeServiceAccountToken:
		if s.Annotations[corev1.ServiceAccountNameKey] == "" {
			faults = append(faults, field.Required(field.NewPath("metadata", "annotations").Key(corev1.ServiceAccountNameKey), ""))
		}
	case corev1.SecretTypeBasicAuth:
		_, user := s.Data[corev1.BasicAuthUsernameKey]
		_, password := s.Data[corev1.BasicAuthPasswordKey]
		if !user && !password { // either is enough; both are named
			faults = append(faults, field.Required(data.Key(corev1.BasicAuthUsernameKey), ""), field.Required(data.Key(corev1.BasicAuthPasswordKey), ""))
		}
	}
	return faults
}

func validateSecretJSON(p *field.Path, data map[string][]byte, key string) field.ErrorList {
	value, ok := data[key]
	if !ok {
		return field.ErrorList{field.Required(p, "")}
	}
	if !json.Valid(value) {
		return field.ErrorList{field.Invalid(p, "<secret contents redacted>", fmt.Sprintf("%s is not JSON", key))}
	}
	return nil
}
