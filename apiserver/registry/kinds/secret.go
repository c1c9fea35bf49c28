package kinds

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func secretRules() registry.Rules {
	return registry.Rules{
		Kind:     api.SecretKind,
		Default:  func(o api.Object) { defaultSecret(o.(*corev1.Secret)) },
		Validate: validate(secretStays),
		Fields:   selectable[*corev1.Secret]("type"),
		Columns: []registry.Column{
			registry.NameColumn,
			shown[*corev1.Secret]("Type", "type", "", "Which keys the secret must have."),
			column("Data", "integer", "The number of keys.", func(s *corev1.Secret) any { return int64(len(s.Data)) }),
			registry.AgeColumn,
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

func secretStays(_ string, s, old *corev1.Secret) field.ErrorList {
	return append(immutable(field.NewPath("type"), s.Type, old.Type), frozen(old.Immutable, s.Immutable, map[string][2]any{"data": {s.Data, old.Data}})...)
}

// secretKeys are the keys that a type demands; of a basic-auth either is enough, and both are named.
var secretKeys = map[corev1.SecretType][]string{
	corev1.SecretTypeSSHAuth:          {corev1.SSHAuthPrivateKey},
	corev1.SecretTypeTLS:              {corev1.TLSCertKey, corev1.TLSPrivateKeyKey},
	corev1.SecretTypeDockercfg:        {corev1.DockerConfigKey},
	corev1.SecretTypeDockerConfigJson: {corev1.DockerConfigJsonKey},
	corev1.SecretTypeBasicAuth:        {corev1.BasicAuthUsernameKey, corev1.BasicAuthPasswordKey},
}

var secretChecks = []rule{each(func(_ *field.Path, s *corev1.Secret) field.ErrorList {
	data, missing := field.NewPath("data"), field.ErrorList{}
	faults, size := dataKeys(data, s.Data)
	for _, key := range secretKeys[s.Type] {
		value, ok := s.Data[key]
		missing = append(missing, when(!ok, field.Required(data.Key(key), ""))...)
		if s.Type == corev1.SecretTypeDockercfg || s.Type == corev1.SecretTypeDockerConfigJson {
			faults = append(faults, when(ok && !json.Valid(value), field.Invalid(data.Key(key), "<secret contents redacted>", key+" is not JSON"))...)
		}
	}
	if s.Type != corev1.SecretTypeBasicAuth || len(missing) == 2 {
		faults = append(faults, missing...)
	}
	account := field.NewPath("metadata", "annotations").Key(corev1.ServiceAccountNameKey)
	faults = append(faults, when(s.Type == corev1.SecretTypeServiceAccountToken && s.Annotations[corev1.ServiceAccountNameKey] == "", field.Required(account, ""))...)
	return append(faults, when(size > corev1.MaxSecretSize, field.TooLong(data, "", corev1.MaxSecretSize))...)
})}
