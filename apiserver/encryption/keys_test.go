package encryption

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func load(t *testing.T, path string) *Keys {
	t.Helper()
	k, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestWhatWasSealedOpens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.yaml")
	k := load(t, path)
	first, sealed := k.Seal("/core/secrets/a/b", []byte("plain"))
	if bytes.Contains(sealed, []byte("plain")) {
		t.Error("the text can be read")
	}
	if _, again := k.Seal("/core/secrets/a/b", []byte("plain")); bytes.Equal(sealed, again) {
		t.Error("the same text is sealed twice alike: nonces repeat")
	}
	if err := k.Rotate(); err != nil {
		t.Fatal(err)
	}
	second, _ := k.Seal("/x", nil)
	if second == first || k.Active() != second {
		t.Errorf("after a rotation %s is in use, before it %s", second, first)
	}
	for _, k := range []*Keys{k, load(t, path)} {
		if plain, err := k.Open(first, "/core/secrets/a/b", sealed); string(plain) != "plain" || err != nil {
			t.Errorf("%q, %v", plain, err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the keys can be read by others: %v, %v", info, err)
	}
	for _, row := range []struct{ key, place, says string }{
		{first, "/core/secrets/a/c", "written for another place"},
		{second, "/core/secrets/a/b", "written for another place"},
		{"gone", "/core/secrets/a/b", `encrypted with key "gone", which is not in ` + path},
	} {
		if _, err := k.Open(row.key, row.place, sealed); err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s at %s: %v", row.key, row.place, err)
		}
	}
}

func TestOldKeysAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := load(t, filepath.Join(t.TempDir(), "keys.yaml"))
		var names []string
		for range 3 {
			names = append(names, k.Active())
			time.Sleep(20 * time.Hour)
			if err := k.Rotate(); err != nil {
				t.Fatal(err)
			}
			if err := k.Retire(); err != nil {
				t.Fatal(err)
			}
		}
		for i, wanted := range []bool{false, true, true} { // replaced 40, 20 and 0 hours ago
			if have := k.ciphers[names[i]] != nil; have != wanted {
				t.Errorf("key %d of %v is there: %v", i, names, have)
			}
		}
	})
}

func TestBadFiles(t *testing.T) {
	const good = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n  - aesgcm:\n      keys:\n      - {name: mine, secret: MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=}\n  - identity: {}\n"
	for _, row := range []struct{ name, old, new, says string }{
		{"as Kubernetes documents it", "", "", ""},
		{"short key", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "MDEy", "keys[0]: want a name of its own, and a secret of 32 bytes"},
		{"no name", "mine", `""`, "keys[0]: want a name"},
		{"other kind", "EncryptionConfiguration", "Config", "want an EncryptionConfiguration"},
		{"other provider", "aesgcm", "secretbox", "secretbox"},
		{"nothing", good, "", "want an EncryptionConfiguration"},
		{"no YAML", good, "{", "yaml"},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys.yaml")
			if err := os.WriteFile(path, []byte(strings.Replace(good, row.old, row.new, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(path)
			if row.says == "" && err != nil || row.says != "" && (err == nil || !strings.Contains(err.Error(), row.says) || !strings.Contains(err.Error(), path)) {
				t.Errorf("%v", err)
			}
		})
	}
}
