package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"optimist/apiserver/store"
)

func (db *DB) Get(ctx context.Context, key string, at store.Revision) (store.Entry, error) {
	if at == 0 {
		if e, known, err := db.newest(key); known || err != nil {
			return e, err
		}
	}
	e, _, err := read(db, at, func(tx *bbolt.Tx, at store.Revision) (store.Entry, error) {
		return asOf(tx.Bucket(dataBucket).Cursor(), key, at)
	})
	return e, err
}

// newest looks into memory only; known is false when the value is on disk.
func (db *DB) newest(key string) (e store.Entry, known bool, err error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if _, err := db.timeline.Resolve(0); err != nil {
		return store.Entry{}, false, err
	}
	e = db.index[key]
	return e, e.Mod == 0 || e.Value != nil, nil
}

func (db *DB) List(ctx context.Context, r store.Range, at store.Revision) ([]store.Entry, store.Revision, error) {
	return read(db, at, func(tx *bbolt.Tx, at store.Revision) ([]store.Entry, error) {
		return list(tx.Bucket(dataBucket).Cursor(), r, at)
	})
}

// read runs f on a snapshot of the file from which nothing that the revision needs has been deleted.
func read[T any](db *DB, at store.Revision, f func(*bbolt.Tx, store.Revision) (T, error)) (found T, _ store.Revision, err error) {
	for {
		definite, err := db.timeline.Resolve(at)
		if err != nil {
			return found, 0, err
		}
		err = db.view(func(tx *bbolt.Tx) (err error) {
			if _, err = db.timeline.Resolve(definite); err == nil { // neither compacted nor closed since
				found, err = f(tx, definite)
			}
			return err
		})
		if at != 0 || !errors.Is(err, store.ErrCompacted) {
			return found, definite, err
		}
	}
}

func (db *DB) view(f func(*bbolt.Tx) error) (err error) {
	defer recovered(&err)()
	err = db.file.View(f)
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return store.ErrClosed
	}
	return err
}

// asOf finds the version of a key that a revision sees; a zero entry when the key did not exist.
func asOf(c *bbolt.Cursor, key string, at store.Revision) (store.Entry, error) {
	k, v := c.Seek(dataKey(key, at))
	return versionOf(key, k, v)
}

// versionOf clones the value of a version if it is one of the key, and not a deletion.
func versionOf(key string, k, v []byte) (store.Entry, error) {
	found, mod, err := parseDataKey(k)
	if k == nil || string(found) != key {
		return store.Entry{}, nil
	}
	if err != nil {
		return store.Entry{}, err
	}
	e, err := parseVersion(key, mod, v)
	if err != nil || e.Value == nil {
		return store.Entry{}, err
	}
	e.Value = bytes.Clone(e.Value)
	return e, nil
}

func list(c *bbolt.Cursor, r store.Range, at store.Revision) ([]store.Entry, error) {
	var entries []store.Entry
	k, v := c.Seek([]byte(max(r.Prefix, r.From)))
	for k != nil && (r.Limit == 0 || len(entries) < r.Limit) {
		found, mod, err := parseDataKey(k)
		if err != nil {
			return nil, err
		}
		if !bytes.HasPrefix(found, []byte(r.Prefix)) {
			break
		}
		key := string(found)
		if mod > at && key >= r.From {
			k, v = c.Seek(dataKey(key, at)) // may be a version of the next key
			continue
		}
		if e, err := versionOf(key, k, v); err != nil {
			return nil, err
		} else if e.Mod != 0 && key >= r.From {
			entries = append(entries, e)
		}
		k, v = nextKey(c, found)
	}
	return entries, nil
}

// nextKey skips the older versions of a key.
func nextKey(c *bbolt.Cursor, key []byte) (k, v []byte) {
	k, v = c.Next()
	if next, _, _ := parseDataKey(k); k != nil && bytes.Equal(next, key) {
		return c.Seek(afterVersions(key))
	}
	return k, v
}

const (
	olderBatches = 256
	olderBytes   = 4 << 20
)

// older rebuilds batches from the log, for watches that start in the past.
func (db *DB) older(after, upTo store.Revision) ([]store.Batch, error) {
	batches, _, err := read(db, after, func(tx *bbolt.Tx, _ store.Revision) (batches []store.Batch, _ error) {
		data, log := tx.Bucket(dataBucket).Cursor(), tx.Bucket(logBucket).Cursor()
		size := 0
		k, v := log.Seek(revisionBytes(after + 1))
		for rev := after + 1; rev <= upTo && len(batches) < olderBatches && size < olderBytes; rev++ {
			if !bytes.Equal(k, revisionBytes(rev)) {
				return nil, fmt.Errorf("the log misses revision %d", rev)
			}
			b, err := replay(data, rev, v)
			if err != nil {
				return nil, err
			}
			for _, c := range b.Changes {
				size += len(c.Value) + len(c.Prev)
			}
			batches = append(batches, b)
			k, v = log.Next()
		}
		return batches, nil
	})
	return batches, err
}

// replay makes a batch of its record in the log.
func replay(data *bbolt.Cursor, rev store.Revision, record []byte) (store.Batch, error) {
	keys, note, err := parseLog(record)
	b := store.Batch{Revision: rev, Note: noteOf(note)}
	for _, key := range keys {
		c, err := changeAt(data, key, rev)
		if err != nil {
			return b, err
		}
		b.Changes = append(b.Changes, c)
	}
	return b, err
}

func noteOf(b []byte) []byte { return append([]byte(nil), b...) } // nil, too, for an empty one

// changeAt compares the version that a revision wrote with the one before.
func changeAt(data *bbolt.Cursor, key string, rev store.Revision) (store.Change, error) {
	want := dataKey(key, rev)
	k, v := data.Seek(want)
	if !bytes.Equal(k, want) {
		return store.Change{}, fmt.Errorf("the value of %s at revision %d is missing", key, rev)
	}
	e, err := parseVersion(key, rev, v)
	if err != nil {
		return store.Change{}, err
	}
	e.Value = slices.Clone(e.Value) // stays nil for a deletion
	k, v = data.Next()
	prev, err := versionOf(key, k, v)
	return store.Change{Key: strings.Clone(key), Value: e.Value, Create: e.Create, Prev: prev.Value, PrevMod: prev.Mod}, err
}
