package bolt

import (
	"errors"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"

	"optimist/apiserver/store"
)

// faulty fails the updates for which it has a fault planned.
type faulty struct {
	file
	plan []fault
}

type fault func(file, func(*bbolt.Tx) error) error

func (f *faulty) Update(do func(*bbolt.Tx) error) error {
	if len(f.plan) == 0 {
		return f.file.Update(do)
	}
	next := f.plan[0]
	f.plan = f.plan[1:]
	return next(f.file, do)
}

// full is a disk that takes no more pages: bbolt rolls back.
func full(f file, do func(*bbolt.Tx) error) error {
	return f.Update(func(tx *bbolt.Tx) error { return errors.Join(do(tx), syscall.ENOSPC) })
}

// unsynced is a disk that fails the very last sync: the page cache has everything.
func unsynced(f file, do func(*bbolt.Tx) error) error {
	return errors.Join(f.Update(do), syscall.EIO)
}

// fine is for those that are to succeed in between.
func fine(f file, do func(*bbolt.Tx) error) error { return f.Update(do) }

func TestFailedCommit(t *testing.T) {
	for _, row := range []struct {
		name    string
		plan    []fault
		want    error
		applied bool // in the end
	}{
		{"a full disk: nothing happened", []fault{full}, store.ErrUnwritable, false},
		{"the last sync failed, and a second one did not", []fault{unsynced, fine}, nil, true},
		{"the last sync failed, and so did the second: it is there later", []fault{unsynced, full}, store.ErrUnknown, true},
		{"syncs fail for long", []fault{unsynced, unsynced}, store.ErrUnknown, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := somewhere(t)
			db := quick(t, path)
			put(t, db, "/a", "1")
			db.file = &faulty{file: db.file, plan: row.plan}
			_, err := db.Commit(t.Context(), store.Txn{Do: []store.Op{{Key: "/a", Value: []byte("2")}}})
			if !errors.Is(err, row.want) {
				t.Errorf("got %v, want %v", err, row.want)
			}
			if row.want != nil {
				unchanged(t, db)
			}
			next := store.Revision(2)
			if row.applied {
				next = 3
			}
			if rev := put(t, db, "/b", "3"); rev != next {
				t.Errorf("the next revision is %d, want %d", rev, next)
			}
			sameAfterRestart(t, db, path)
		})
	}
}

// A migration that finds no room leaves the old file as it was.
func TestMigrationOnFullDisk(t *testing.T) {
	path := copied(t, "testdata/format-1.db")
	b, err := openFile(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := load(path, &faulty{file: b, plan: []fault{full}}); err == nil || !strings.Contains(err.Error(), "make room on that disk") {
		t.Errorf("got %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if old, now := content(t, copied(t, "testdata/format-1.db")), content(t, path); len(old) == 0 || !reflect.DeepEqual(old, now) {
		t.Errorf("the old file had %d entries, of which %d are left", len(old), len(now))
	}
}

// unchanged: memory must not believe in what the disk may not have.
func unchanged(t *testing.T, db *DB) {
	t.Helper()
	now, _ := db.Now(t.Context())
	e, _ := db.Get(t.Context(), "/a", 0)
	entries, at, err := db.List(t.Context(), store.Range{}, 0)
	if now != 1 || string(e.Value) != "1" || at != 1 || len(entries) != 1 || string(entries[0].Value) != "1" || err != nil {
		t.Errorf("now %d, /a = %s; list %v at %d, %v", now, e.Value, entries, at, err)
	}
}

// sameAfterRestart compares what watchers saw live with what the log says, revision by revision.
func sameAfterRestart(t *testing.T, db *DB, path string) {
	t.Helper()
	live := history(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	replayed := history(t, quick(t, path))
	if len(live) != len(replayed) {
		t.Fatalf("%d revisions live, %d replayed", len(live), len(replayed))
	}
	for i, b := range live {
		r := replayed[i]
		if b.Revision != store.Revision(i+1) || r.Revision != b.Revision || string(r.Changes[0].Value) != string(b.Changes[0].Value) {
			t.Errorf("live %+v, replayed %+v", b, r)
		}
	}
}

func history(t *testing.T, db *DB) (all []store.Batch) {
	t.Helper()
	now, _ := db.Now(t.Context())
	seq, err := db.Watch(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for b, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		if all = append(all, b); b.Revision == now {
			break
		}
	}
	return all
}
