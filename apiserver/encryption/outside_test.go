package encryption

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzLoad: a file of keys is refused, or what it seals it opens again; what it did not seal it does not open.
func FuzzLoad(f *testing.F) {
	dir := f.TempDir()
	if _, err := Load(filepath.Join(dir, "made")); err != nil {
		f.Fatal(err)
	}
	made, err := os.ReadFile(filepath.Join(dir, "made"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(made, []byte("x"))
	f.Add([]byte("{}"), []byte{})
	f.Add([]byte("resources: [{providers: [{aesgcm: {keys: [{name: a, secret: AA==}]}}]}]"), bytes.Repeat([]byte{0}, 40))
	f.Fuzz(func(t *testing.T, file, sealed []byte) {
		path := filepath.Join(t.TempDir(), "k")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := Load(path)
		if err != nil {
			return
		}
		name, value := k.Seal("/a", sealed)
		if plain, err := k.Open(name, "/a", value); err != nil || !bytes.Equal(plain, sealed) {
			t.Errorf("%x came back as %x, %v", sealed, plain, err)
		}
		if _, err := k.Open(name, "/b", value); err == nil {
			t.Error("it opens elsewhere")
		}
		if _, err := k.Open(name, "/a", sealed); err == nil {
			t.Errorf("%x opens", sealed)
		}
	})
}
