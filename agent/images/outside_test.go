package images

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// FuzzKeyring: whatever stands in an imagePullSecret, and whatever an image is called.
func FuzzKeyring(f *testing.F) {
	f.Add([]byte(`{"auths":{"https://index.docker.io/v1/":{"auth":"YTpi"},"r:5000/x":{"username":"a","password":"b"}}}`), "r:5000/x/y:z")
	f.Add([]byte(`{"a":{"auth":"Og=="}}`), "a@sha256:")
	f.Add([]byte(`{"auths":{"":{"auth":"YTpi"},"://":{"username":"a"}}}`), "/")
	f.Fuzz(func(t *testing.T, data []byte, image string) {
		all, _ := Keyring{}.Add(&corev1.Secret{Type: corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{corev1.DockerConfigJsonKey: data}})
		all, _ = all.Add(&corev1.Secret{Type: corev1.SecretTypeDockercfg, Data: map[string][]byte{corev1.DockerConfigKey: data}})
		if fitting := all.For(image); len(fitting) > len(all) || len(fitting) > 0 && Check(image) != nil {
			t.Errorf("%d of %d logins fit %q", len(fitting), len(all), image)
		}
	})
}
