package registry_test

import (
	"bytes"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/apiserver/encryption"
	"optimist/apiserver/registry"
	"optimist/apiserver/registry/kinds"
	"optimist/apiserver/store"
	"optimist/apiserver/store/memory"
	"optimist/internal/api"
)

// TestSecretsAreStoredEncrypted follows a secret through a server without keys, one with keys, and a rotation.
func TestSecretsAreStoredEncrypted(t *testing.T) {
	s, ctx := memory.New(), api.WithUser(t.Context(), api.User{Name: "me"})
	open := func(c registry.Cipher) *registry.Registry {
		r, err := registry.New(s, registry.Options{Rules: kinds.All(), Cipher: c})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	key := api.Key{Namespace: "default", Name: "s"}
	readable := func() bool {
		e, err := s.Get(ctx, registry.StoreKey(api.SecretKind, key), 0)
		if err != nil || e.Mod == 0 {
			t.Fatal(e, err)
		}
		return bytes.Contains(e.Value, []byte("hunter2"))
	}
	plain := open(nil)
	if err := plain.Bootstrap(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Secrets.Create(ctx, plain, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "s"}, Data: map[string][]byte{"p": []byte("hunter2")}}); err != nil {
		t.Fatal(err)
	}
	if !readable() {
		t.Fatal("this test would not see a plain secret")
	}
	keys, err := encryption.Load(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	r := open(keys)
	for _, step := range []string{"encrypted for the first time", "after a rotation"} {
		n, err := r.Reseal(ctx)
		if n != 1 || err != nil || readable() {
			t.Errorf("%s: %d values, %v, readable: %v", step, n, err, readable())
		}
		if n, err := r.Reseal(ctx); n != 0 || err != nil {
			t.Errorf("%s, again: %d values, %v", step, n, err)
		}
		got, err := api.Secrets.Get(ctx, r, key)
		if err != nil || string(got.Data["p"]) != "hunter2" {
			t.Errorf("%s: %v, %v", step, got, err)
		}
		before := got.ResourceVersion
		if got, err = api.Secrets.Update(ctx, r, got); err != nil || got.ResourceVersion != before {
			t.Errorf("%s: an update without a change is a change: %v", step, err)
		}
		if err := keys.Rotate(); err != nil {
			t.Fatal(err)
		}
	}
	e, err := s.Get(ctx, registry.StoreKey(api.SecretKind, key), 0)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := registry.StoreKey(api.SecretKind, api.Key{Namespace: "default", Name: "other"})
	if _, err := s.Commit(ctx, store.Txn{Do: []store.Op{{Key: elsewhere, Value: e.Value}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Secrets.Get(ctx, r, api.Key{Namespace: "default", Name: "other"}); err == nil {
		t.Error("a sealed value that was copied under another name opens")
	}
	if _, err := api.Secrets.Get(ctx, open(nil), key); err == nil {
		t.Error("a server without keys reads a sealed value")
	}
}
