package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"optimist/apiserver/store"
	"optimist/apiserver/store/timeline"
)

func (db *DB) Get(ctx context.Context, key string, at store.Revision) (store.Entry, error) {
	found, _, err := db.read(at, func(x *timeline.Index, at store.Revision) []timeline.Version {
		return []timeline.Version{x.At(key, at)}
	})
	if err != nil {
		return store.Entry{}, err
	}
	return found[0], nil
}

func (db *DB) List(ctx context.Context, r store.Range, at store.Revision) ([]store.Entry, store.Revision, error) {
	return db.read(at, func(x *timeline.Index, at store.Revision) []timeline.Version { return x.List(r, at) })
}

// read asks the index for versions, and memory or the file for their values. What has been compacted away in between is said, or tried again.
func (db *DB) read(at store.Revision, ask func(*timeline.Index, store.Revision) []timeline.Version) ([]store.Entry, store.Revision, error) {
	for {
		var versions []timeline.Version
		definite, err := db.timeline.Look(at, func(x *timeline.Index, at store.Revision) { versions = ask(x, at) })
		if err != nil {
			return nil, 0, err
		}
		found, err := db.entries(nil, versions)
		if err != nil { // not all are in memory
			err = db.view(func(tx *bbolt.Tx) (err error) {
				found, err = db.entries(tx.Bucket(logBucket).Cursor(), versions)
				return err
			})
		}
		if _, gone := db.timeline.Resolve(definite); err != nil && gone != nil {
			err = gone
		}
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

func (db *DB) entries(log *bbolt.Cursor, versions []timeline.Version) (found []store.Entry, err error) {
	found = make([]store.Entry, len(versions))
	for i := 0; i < len(versions) && err == nil; i++ {
		found[i], err = db.entry(log, versions[i])
	}
	return found, err
}

var errMissing = errors.New("the value is missing")

// entry is what a version wrote: from memory if it is recent, and from the log (nil: only from memory) otherwise. No version, no entry.
func (db *DB) entry(log *bbolt.Cursor, v timeline.Version) (store.Entry, error) {
	if v.Mod == 0 {
		return store.Entry{}, nil
	}
	c, ok := db.timeline.Recent(v)
	if ok {
		return c.Entry(v.Mod), nil
	}
	if log == nil {
		return store.Entry{}, errMissing
	}
	want := changeKey(v.Mod, v.Sub)
	k, record := log.Seek(want)
	if !bytes.Equal(k, want) {
		return store.Entry{}, fmt.Errorf("%w: of %s at revision %d", errMissing, v.Key, v.Mod)
	}
	c, err := parseChange(record)
	c.Key, c.Value = v.Key, bytes.Clone(c.Value)
	return c.Entry(v.Mod), err
}

const (
	olderBatches = 256
	olderBytes   = 4 << 20
)

// older rebuilds batches from the log, for watches that start in the past.
func (db *DB) older(after, upTo store.Revision) (batches []store.Batch, err error) {
	err = db.view(func(tx *bbolt.Tx) error {
		log, past, size := tx.Bucket(logBucket).Cursor(), tx.Bucket(logBucket).Cursor(), 0
		for k, v := log.Seek(revisionBytes(after + 1)); k != nil; k, v = log.Next() {
			n := len(batches)
			rev, _, note, err := parseLogKey(k)
			switch {
			case err != nil:
				return err
			case note && (rev > upTo || n == olderBatches || size >= olderBytes):
				return nil
			case note && rev == after+store.Revision(n)+1:
				batches = append(batches, store.Batch{Revision: rev, Note: noteOf(v)})
			case !note && n > 0 && rev == batches[n-1].Revision:
				change, err := db.replay(past, rev, v)
				if err != nil {
					return err
				}
				batches[n-1].Changes = append(batches[n-1].Changes, change)
				size += len(change.Value) + len(change.Prev)
			default:
				return fmt.Errorf("the log misses revision %d", after+store.Revision(n)+1)
			}
		}
		if len(batches) == 0 {
			return fmt.Errorf("the log misses revision %d", after+1)
		}
		return nil
	})
	if _, gone := db.timeline.Resolve(after); gone != nil { // meanwhile: and then what was before a change may have been, too
		return nil, gone
	}
	return batches, err
}

// replay makes a change of its record, and of what the index says was there before.
func (db *DB) replay(log *bbolt.Cursor, rev store.Revision, record []byte) (store.Change, error) {
	c, err := parseChange(record)
	if err != nil {
		return c, err
	}
	var v timeline.Version
	if _, err = db.timeline.Look(rev, func(x *timeline.Index, _ store.Revision) { v = x.At(c.Key, rev-1) }); err != nil {
		return c, err
	}
	prev, err := db.entry(log, v)
	c.Value, c.Prev, c.PrevMod = bytes.Clone(c.Value), prev.Value, prev.Mod
	return c, err
}

func noteOf(b []byte) []byte { return append([]byte(nil), b...) } // nil, too, for an empty one
