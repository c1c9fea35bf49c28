package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"optimist/apiserver/store"
	"optimist/apiserver/store/bolt/check"
)

// FuzzOpen damages a file, of this or of the first format: bytes overwritten, the end cut off, and both meta pages signed anew, so that wrong ones get past their
// checksums. Whatever comes out is refused untouched, or can be used without a panic.
func FuzzOpen(f *testing.F) {
	path := somewhere(f)
	sample(f, path)
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	old, err := os.ReadFile("testdata/format-1.db")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(0), []byte{}, uint32(0), false, false)
	f.Add(uint32(0), []byte{}, uint32(check.PageSize), true, false)
	f.Add(uint32(16+16), []byte{0xff}, uint32(0), true, false)                       // the root
	f.Add(uint32(16+16+3*8), []byte{3}, uint32(0), true, false)                      // the number of pages
	f.Add(uint32(check.PageSize+32), []byte{7, 0, 0}, uint32(1), true, false)        // the other meta page
	f.Add(uint32(9*check.PageSize+8), []byte{1, 0, 9}, uint32(0), false, false)      // a leaf becomes a branch
	f.Add(uint32(9*check.PageSize+16), []byte{1, 0, 0, 0}, uint32(0), false, false)  // an entry becomes a bucket
	f.Add(uint32(9*check.PageSize+20), []byte{0xff, 0xff}, uint32(0), false, false)  // an entry points outside
	f.Add(uint32(40*check.PageSize+12), []byte{0xff, 0xff}, uint32(0), false, false) // a page swallows others
	f.Add(uint32(50*check.PageSize+2000), []byte{0, 0, 0}, uint32(0), false, false)  // content
	f.Add(uint32(0), []byte{}, uint32(0), false, true)
	f.Add(uint32(5*check.PageSize+2000), []byte{0, 0, 0}, uint32(0), false, true)
	f.Fuzz(func(t *testing.T, offset uint32, patch []byte, cutOff uint32, sign, earlier bool) {
		b := bytes.Clone(good)
		if earlier {
			b = bytes.Clone(old)
		}
		copy(b[int(offset)%len(b):], patch)
		if sign {
			signMeta(b, 0)
			signMeta(b, check.PageSize)
		}
		b = b[:len(b)-int(cutOff)%len(b)]
		path := filepath.Join(t.TempDir(), "fuzz.db")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := Open(path, Options{NoSync: true})
		if err == nil {
			use(t.Context(), db)
			return
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(after, b) || !strings.Contains(err.Error(), path) {
			t.Errorf("refused with %v; changed: %v", err, !bytes.Equal(after, b))
		}
	})
}

func signMeta(b []byte, page int) {
	sum := fnv.New64a()
	sum.Write(b[page+16 : page+72])
	binary.NativeEndian.PutUint64(b[page+72:], sum.Sum64())
}

// use reads and writes everything; values have no checksums, so errors are fine and panics are not.
func use(ctx context.Context, db *DB) {
	defer db.Close()
	now, _ := db.Now(ctx)
	db.List(ctx, store.Range{}, 0)
	db.List(ctx, store.Range{}, max(now/2, 1))
	db.Get(ctx, "/k/1", 0)
	db.Commit(ctx, store.Txn{Do: []store.Op{{Key: "/k/1", Value: []byte("new")}, {Key: "/k/2"}}})
	db.older(0, now)
	db.Compact(ctx, now)
	db.Commit(ctx, store.Txn{Do: []store.Op{{Key: "/k/3", Value: make([]byte, 9000)}}})
}
