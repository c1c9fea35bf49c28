package images

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"

	"optimist/agent/runtime"
)

// Keyring holds the logins of a pod's imagePullSecrets, in their order.
type Keyring []key

type key struct {
	where string // registry host, or host/path
	login runtime.Credentials
}

type dockerAuth struct {
	Username, Password string
	Auth               string // base64 of username:password; wins
}

// Add reads a Secret of type kubernetes.io/dockerconfigjson or kubernetes.io/dockercfg.
func (k Keyring) Add(s *corev1.Secret) (Keyring, error) {
	var config struct{ Auths map[string]dockerAuth }
	var err error
	switch s.Type {
	case corev1.SecretTypeDockerConfigJson:
		err = json.Unmarshal(s.Data[corev1.DockerConfigJsonKey], &config)
	case corev1.SecretTypeDockercfg:
		err = json.Unmarshal(s.Data[corev1.DockerConfigKey], &config.Auths)
	default:
		err = fmt.Errorf("its type is %q, not %q", s.Type, corev1.SecretTypeDockerConfigJson)
	}
	if err != nil {
		return k, fmt.Errorf("imagePullSecret %s/%s: %w", s.Namespace, s.Name, err)
	}
	for where, auth := range config.Auths {
		if login, ok := auth.login(); ok {
			k = append(k, key{where: place(where), login: login})
		}
	}
	return k, nil
}

func (a dockerAuth) login() (runtime.Credentials, bool) {
	if a.Auth == "" {
		return runtime.Credentials{Username: a.Username, Password: a.Password}, a.Username != ""
	}
	text, err := base64.StdEncoding.DecodeString(a.Auth)
	user, password, ok := strings.Cut(string(text), ":")
	return runtime.Credentials{Username: user, Password: password}, err == nil && ok
}

// place strips what people write around a registry's name: "https://registry:5000/v1/" is "registry:5000".
func place(where string) string {
	if _, after, ok := strings.Cut(where, "://"); ok {
		where = after
	}
	where = strings.Trim(where, "/")
	where = strings.TrimSuffix(strings.TrimSuffix(where, "/v1"), "/v2")
	return strings.TrimPrefix(where, "index.") // the default registry's logins have it, its images' names do not
}

// For returns the logins that may fit an image, the most particular path first.
func (k Keyring) For(image string) []runtime.Credentials {
	ref, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return nil
	}
	var fitting []runtime.Credentials
	for path := ref.Name(); ; path = path[:strings.LastIndexByte(path, '/')] {
		for _, key := range k {
			if key.where == path {
				fitting = append(fitting, key.login)
			}
		}
		if !strings.Contains(path, "/") {
			return fitting
		}
	}
}
