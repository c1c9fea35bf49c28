package bolt

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"optimist/apiserver/store"
	"optimist/apiserver/store/bolt/check"
)

func put(t testing.TB, db *DB, key, value string) store.Revision {
	t.Helper()
	rev, err := db.Commit(t.Context(), store.Txn{Do: []store.Op{{Key: key, Value: []byte(value)}}})
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// sample writes a store with a history into a file without free space at its end.
func sample(t testing.TB, path string) {
	t.Helper()
	db := quick(t, path)
	for i := range 200 {
		put(t, db, fmt.Sprint("/k/", i%90), strings.Repeat("x", i*7))
	}
	var size int64
	db.view(func(tx *bbolt.Tx) error { size = tx.Size(); return nil })
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

// edit changes a sample with bbolt's own hands.
func edit(change func(tx *bbolt.Tx) error) func(testing.TB, string) {
	return func(t testing.TB, path string) {
		sample(t, path)
		b, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if err := b.Update(change); err != nil {
			t.Fatal(err)
		}
	}
}

func cut(size int64) func(testing.TB, string) {
	return func(t testing.TB, path string) {
		sample(t, path)
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
	}
}

func overwrite(offset, length int) func(testing.TB, string) {
	return func(t testing.TB, path string) {
		sample(t, path)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		copy(b[offset:], bytes.Repeat([]byte{0xA5}, length))
		os.WriteFile(path, b, 0o600)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, row := range []struct {
		name string
		make func(testing.TB, string)
		want string
	}{
		{"half of a file", cut(20 * check.PageSize), "the file is truncated: it should have"},
		{"less than a page", cut(100), "the file is truncated: it should have"},
		{"nothing at all", cut(0), "the file is empty; restore it from a backup"},
		{"a text", func(_ testing.TB, path string) { os.WriteFile(path, []byte("kind: Pod\n"), 0o600) }, "not a bbolt file; check the path"},
		{"a long text", func(_ testing.TB, path string) { os.WriteFile(path, bytes.Repeat([]byte("kind: Pod\n"), 9999), 0o600) }, "not a bbolt file"},
		{"both meta pages overwritten", overwrite(0, 2*check.PageSize), "it is not a bbolt file"},
		{"a page overwritten", overwrite(2*check.PageSize, 300*check.PageSize), "is overwritten; restore it from a backup"},
		{"another program's bbolt file", func(t testing.TB, path string) {
			b, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: check.PageSize})
			if err != nil {
				t.Fatal(err)
			}
			b.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("key")); return err })
			b.Close()
		}, "a bbolt file of another program; check the path"},
		{"a newer format", edit(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(formatKey, []byte("3")) }),
			"a newer version wrote it (format 3, this version knows 2)"},
		{"a revision missing", edit(func(tx *bbolt.Tx) error { return tx.Bucket(logBucket).Delete(revisionBytes(100)) }),
			"the log misses revision 100; restore"},
		{"the oldest revision missing", edit(func(tx *bbolt.Tx) error { return tx.Bucket(logBucket).Delete(revisionBytes(1)) }),
			"the log misses revision 1; restore"},
		{"the newest revision missing", edit(func(tx *bbolt.Tx) error { return tx.Bucket(logBucket).Delete(revisionBytes(200)) }),
			"the log misses revision 200; restore"},
		{"a strange record", edit(func(tx *bbolt.Tx) error { return tx.Bucket(logBucket).Put([]byte("short"), nil) }), "a record is garbled"},
		{"a bucket missing", edit(func(tx *bbolt.Tx) error { return tx.DeleteBucket(logBucket) }), "a bucket is missing"},
		{"a folder", func(_ testing.TB, path string) { os.Mkdir(path, 0o700) }, "is a directory"},
		{"a device", func(_ testing.TB, path string) { os.Symlink("/dev/null", path) }, "not a regular file; check the path"},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := somewhere(t)
			row.make(t, path)
			before, _ := os.ReadFile(path)
			_, err := Open(path, Options{})
			if err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want %q and the path", err, row.want)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("the refused file was changed")
			}
		})
	}
}

func TestOpenWhatIsInUse(t *testing.T) {
	path := somewhere(t)
	quick(t, path)
	_, err := Open(path, Options{})
	if err == nil || !strings.Contains(err.Error(), "another process is using it") {
		t.Errorf("got %v", err)
	}
}

func TestOpenWithoutFolder(t *testing.T) {
	_, err := Open(filepath.Join(t.TempDir(), "none", "store.db"), Options{})
	if err == nil || !strings.Contains(err.Error(), "create the folder first") {
		t.Errorf("got %v", err)
	}
}

func TestOpenWithoutPermission(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may do everything")
	}
	path := somewhere(t)
	sample(t, path)
	os.Chmod(path, 0o400)
	_, err := Open(path, Options{})
	if err == nil || !strings.Contains(err.Error(), "must be allowed to read and write") {
		t.Errorf("got %v", err)
	}
}

// One of the two meta pages is torn when the power fails at the wrong moment; the other one is there for that.
func TestOpenTornMeta(t *testing.T) {
	for page := range 2 {
		path := somewhere(t)
		overwrite(page*check.PageSize+20, 30)(t, path)
		db := quick(t, path)
		if now, err := db.Now(t.Context()); err != nil || now < 199 {
			t.Errorf("page %d torn: now %d, %v", page, now, err)
		}
	}
}

// A file that bbolt's own tools have rewritten has a list of free pages.
func TestOpenWithFreeList(t *testing.T) {
	path := somewhere(t)
	edit(func(tx *bbolt.Tx) error { return nil })(t, path)
	if rev := put(t, quick(t, path), "/k/1", "x"); rev != 201 {
		t.Errorf("got revision %d", rev)
	}
}

func copied(t *testing.T, file string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	data, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// content is all that a store has, but for what a short life writes.
func content(t *testing.T, path string) []store.Entry {
	t.Helper()
	entries, _, err := quick(t, path).List(t.Context(), store.Range{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(entries, func(e store.Entry) bool { return strings.HasPrefix(e.Key, "/k/") })
}
