package ctl

import (
	"archive/tar"
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// FuzzUnpack: whatever a container sends as its archive, nothing is written but below the destination, and not more than was sent.
func FuzzUnpack(f *testing.F) {
	for _, h := range []tar.Header{{Name: "src/f"}, {Name: "src/../../f"}, {Name: "src/l", Typeflag: tar.TypeSymlink, Linkname: ".."}, {Name: "src/g", Typeflag: tar.TypeLink, Linkname: "src/../../secret"}, {Name: "src/s", Typeflag: tar.TypeGNUSparse}} {
		var archive bytes.Buffer
		w := tar.NewWriter(&archive)
		h.Mode, h.Size = 0o644, 1
		if h.Typeflag != 0 {
			h.Size = 0
		}
		if w.WriteHeader(&h) == nil {
			_, _ = w.Write([]byte("x")) // refused by those that have no content
		}
		w.Close()
		f.Add(archive.Bytes())
	}
	f.Fuzz(func(t *testing.T, archive []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("s"), 0o600); err != nil {
			t.Fatal(err)
		}
		_ = unpack(io.Discard, bytes.NewReader(archive), "/src", filepath.Join(dir, "to/dst")) // most are refused
		size := int64(0)
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if within, _ := filepath.Rel(filepath.Join(dir, "to/dst"), path); path != filepath.Join(dir, "secret") && !filepath.IsLocal(within) {
				t.Errorf("%s was written", path)
			}
			if err == nil {
				size += info.Size()
			}
			return err
		})
		if secret, _ := os.ReadFile(filepath.Join(dir, "secret")); string(secret) != "s" || err != nil {
			t.Errorf("the secret is %q, %v", secret, err)
		}
		if size > int64(2*len(archive)+1) {
			t.Errorf("%d bytes became %d", len(archive), size)
		}
	})
}
