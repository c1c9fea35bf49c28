package bolt

import (
	"bytes"
	"context"

	"go.etcd.io/bbolt"

	"optimist/apiserver/store"
)

// slice is how many revisions are compacted in one bbolt transaction: the writer waits that long at most.
const slice = 128

// Compact first makes the revision the floor, on disk and then in memory; from then on nobody needs what it goes on to delete.
// If it is interrupted, the next one continues.
func (db *DB) Compact(ctx context.Context, before store.Revision) error {
	db.compacting.Lock()
	defer db.compacting.Unlock()
	floor := max(before, db.timeline.Floor())
	if _, err := db.timeline.Resolve(floor); err != nil {
		return err
	}
	if floor > db.timeline.Floor() {
		if err := db.raiseFloor(floor); err != nil {
			return err
		}
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		more, err := db.compactSlice(floor)
		if err != nil || !more {
			return err
		}
	}
}

func (db *DB) raiseFloor(floor store.Revision) error {
	err := db.update(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(compactedKey, revisionBytes(floor)) })
	if err != nil {
		return db.unwritable(err)
	}
	return db.timeline.Compact(floor)
}

// compactSlice looks for garbage beside the writer, and then deletes it in the writer's way.
func (db *DB) compactSlice(floor store.Revision) (more bool, err error) {
	var g garbage
	err = db.view(func(tx *bbolt.Tx) error {
		more, err = g.collect(tx, floor)
		return err
	})
	if err != nil || len(g) == 0 {
		return more, err
	}
	if err := db.update(g.remove); err != nil {
		return false, db.unwritable(err)
	}
	return more, nil
}

// garbage is what only revisions below the floor need.
type garbage []struct{ bucket, key []byte }

func (g *garbage) add(bucket, key []byte) {
	*g = append(*g, struct{ bucket, key []byte }{bucket, bytes.Clone(key)})
}

// collect takes the oldest slice of the log: what its revisions superseded, the deletions among them, and the slice itself.
// The floor's own record stays, so that the log always says which revision is the newest.
func (g *garbage) collect(tx *bbolt.Tx, floor store.Revision) (more bool, err error) {
	data, log := tx.Bucket(dataBucket).Cursor(), tx.Bucket(logBucket).Cursor()
	n := 0
	for k, v := log.First(); k != nil; k, v = log.Next() {
		rev, err := parseRevision(k)
		if err != nil || rev > floor || n == slice {
			return n == slice, err
		}
		n++
		keys, _, err := parseLog(v)
		if err != nil {
			return false, err
		}
		for _, key := range keys {
			g.below(data, key, rev)
		}
		if rev < floor {
			g.add(logBucket, k)
		}
	}
	return false, nil
}

// below collects the versions of a key that are older than a revision, which wrote it too; and that one, if it is a deletion.
func (g *garbage) below(data *bbolt.Cursor, key string, rev store.Revision) {
	for k, v := data.Seek(dataKey(key, rev)); k != nil; k, v = data.Next() {
		found, mod, err := parseDataKey(k)
		if err != nil || string(found) != key {
			return
		}
		if mod < rev || len(v) > 0 && v[0] == deletion {
			g.add(dataBucket, k)
		}
	}
}

func (g *garbage) remove(tx *bbolt.Tx) error {
	for _, x := range *g {
		if err := tx.Bucket(x.bucket).Delete(x.key); err != nil {
			return err
		}
	}
	return nil
}
