package kinds

import (
	"encoding/json"
	"regexp"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func secretRules() registry.Rules {
	r := stored(api.SecretKind, secretStays, shown[*corev1.Secret]("Type", "type", "", "Which keys the secret must have."),
		column("Data", "integer", "The number of keys.", func(s *corev1.Secret) any { return int64(len(s.Data)) }), registry.AgeColumn)
	r.Fields = selectable[*corev1.Secret]("type")
	r.TTL = func(o api.Object) time.Duration { // a token goes when it has expired
		s := o.(*corev1.Secret)
		if end, err := time.Parse(time.RFC3339, string(s.Data["expiration"])); s.Type == corev1.SecretTypeBootstrapToken && err == nil && time.Now().After(end) {
			return 1
		}
		return 0
	}
	return r
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
	if s.Type == corev1.SecretTypeBootstrapToken {
		faults = append(faults, tokenFaults(data, s)...)
	}
	return append(faults, when(size > corev1.MaxSecretSize, field.TooLong(data, "", corev1.MaxSecretSize))...)
})}

// tokenKeys are the forms of what a bootstrap token holds (https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/).
var tokenKeys = map[string]*regexp.Regexp{
	"token-id": regexp.MustCompile(`^[a-z0-9]{6}$`), "token-secret": regexp.MustCompile(`^[a-z0-9]{16}$`),
	"usage-bootstrap-authentication": regexp.MustCompile(`^(true|false|)$`), "usage-bootstrap-signing": regexp.MustCompile(`^(true|false|)$`),
	"auth-extra-groups": regexp.MustCompile(`^((^|,)system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9])*$`),
}

// tokenFaults are told without what is there: it is secret, or nearly.
func tokenFaults(data *field.Path, s *corev1.Secret) (faults field.ErrorList) {
	for key, form := range tokenKeys {
		faults = append(faults, when(!form.Match(s.Data[key]), field.Invalid(data.Key(key), "", "must have the form "+form.String()))...)
	}
	end := string(s.Data["expiration"])
	_, err := time.Parse(time.RFC3339, end)
	faults = append(faults, when(end != "" && err != nil, field.Invalid(data.Key("expiration"), end, "must be a time like 2030-01-31T12:00:00Z"))...)
	home := s.Namespace == metav1.NamespaceSystem && s.Name == "bootstrap-token-"+string(s.Data["token-id"])
	return append(faults, when(!home, field.Invalid(field.NewPath("metadata", "name"), s.Name, "a bootstrap token is in kube-system and called bootstrap-token-<token-id>"))...)
}
