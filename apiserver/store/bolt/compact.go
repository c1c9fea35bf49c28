package bolt

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"go.etcd.io/bbolt"

	"optimist/apiserver/store"
)

// slice is how many records are deleted in one bbolt transaction: the writer waits that long at most.
const slice = 512

// Compact first makes the revision the floor, on disk and then in memory; from then on nobody needs what it goes on to delete, the oldest first.
// If it is interrupted, the next one continues.
func (db *DB) Compact(ctx context.Context, before store.Revision) error {
	db.compacting.Lock()
	defer db.compacting.Unlock()
	floor := max(before, db.timeline.Floor())
	if _, err := db.timeline.Resolve(floor); err != nil {
		return err
	}
	if floor > db.timeline.Floor() {
		err := db.update(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(compactedKey, revisionBytes(floor)) })
		if err != nil {
			return db.unwritable(err)
		}
		if err := db.discard(floor); err != nil {
			return err
		}
	}
	for len(db.garbage) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(slice, len(db.garbage))
		err := db.update(func(tx *bbolt.Tx) (err error) {
			for _, k := range db.garbage[:n] {
				err = errors.Join(err, tx.Bucket(logBucket).Delete(k))
			}
			return err
		})
		if err != nil {
			return db.unwritable(err)
		}
		db.garbage = db.garbage[n:]
	}
	return nil
}

// discard raises the floor in memory; what only revisions below it need is garbage. The floor's note stays: the newest revision must be known.
func (db *DB) discard(floor store.Revision) error {
	dropped, err := db.timeline.Compact(floor)
	for _, v := range dropped {
		db.garbage = append(db.garbage, changeKey(v.Mod, v.Sub))
	}
	for ; db.oldest < floor; db.oldest++ {
		db.garbage = append(db.garbage, revisionBytes(db.oldest))
	}
	slices.SortFunc(db.garbage, bytes.Compare)
	return err
}
