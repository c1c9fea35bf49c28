package bolt

import (
	"path/filepath"
	"testing"

	"optimist/apiserver/store"
	"optimist/apiserver/store/storetest"
)

// quick opens without syncing: what is tested here does not depend on the disk.
func quick(t testing.TB, path string) *DB {
	t.Helper()
	db, err := Open(path, Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func somewhere(t testing.TB) string { return filepath.Join(t.TempDir(), "store.db") }

func TestStore(t *testing.T) {
	open := func(t testing.TB) store.Store { return quick(t, somewhere(t)) }
	reopen := func(t testing.TB, s store.Store) store.Store {
		old := s.(*DB)
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		db := quick(t, old.path)
		if db.Incarnation() != old.Incarnation() || len(db.Incarnation()) != 32 {
			t.Errorf("incarnation %q became %q", old.Incarnation(), db.Incarnation())
		}
		return db
	}
	storetest.Run(t, open, reopen)
}
