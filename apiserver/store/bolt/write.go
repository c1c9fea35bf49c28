package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"

	"go.etcd.io/bbolt"

	"optimist/apiserver/store"
)

// A group takes at most so many transactions, or stops after so many bytes of values.
const (
	maxGroup      = 1024
	maxGroupBytes = 8 << 20
)

// pending is a transaction that waits for its group.
type pending struct {
	ctx  context.Context
	txn  store.Txn
	done chan struct{}  // closed when rev and err are the answer
	rev  store.Revision // these two are the writer's until then, or until it has ended
	err  error
}

func (db *DB) Commit(ctx context.Context, txn store.Txn) (store.Revision, error) {
	if err := errors.Join(txn.Check(), ctx.Err()); err != nil {
		return 0, err
	}
	p := &pending{ctx: ctx, txn: txn, done: make(chan struct{}), err: store.ErrClosed}
	select {
	case db.queue <- p:
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-db.closing:
		return 0, store.ErrClosed
	}
	select {
	case <-p.done:
	case <-db.stopped: // with or without an answer
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: %w", store.ErrUnknown, ctx.Err())
	}
	return p.rev, p.err
}

// write is the only goroutine that adds to the log and to the timeline.
func (db *DB) write() {
	defer close(db.stopped)
	expected := 0
	for {
		select {
		case first := <-db.queue:
			waiting := db.gather(first, expected)
			db.commit(waiting)
			expected = len(waiting) + len(db.queue)
		case <-db.closing:
			return
		}
	}
}

// gather takes all that wait, and lets those run that were answered with the last group: they come back with their next write.
func (db *DB) gather(first *pending, expected int) []*pending {
	waiting, size := []*pending{first}, 0
	for idle := 0; len(waiting) < maxGroup && size < maxGroupBytes; {
		select {
		case p := <-db.queue:
			waiting = append(waiting, p)
			for _, op := range p.txn.Do {
				size += len(op.Value)
			}
		default:
			if idle++; len(waiting) >= expected || idle > 16 {
				return waiting
			}
			runtime.Gosched()
		}
	}
	return waiting
}

// commit writes one group, moves memory on, and answers.
func (db *DB) commit(waiting []*pending) {
	if err := db.settle(); err != nil {
		answer(waiting, db.unwritable(err))
		return
	}
	g, cause := db.writeGroup(waiting)
	if cause == nil {
		db.publish(g)
		answer(waiting, nil)
		return
	}
	db.doubt = g
	switch err := db.settle(); {
	case err != nil:
		answer(waiting, fmt.Errorf("%w: %s: %w", store.ErrUnknown, db.path, cause))
	case g.published:
		answer(waiting, nil)
	default:
		answer(waiting, db.unwritable(cause))
	}
}

// answer tells all what the group's plan has decided for each; or else, with an error, that.
func answer(waiting []*pending, err error) {
	for _, p := range waiting {
		if err != nil {
			p.rev, p.err = 0, err
		}
		close(p.done)
	}
}

func (db *DB) unwritable(cause error) error {
	if errors.Is(cause, errGarbled) || errors.Is(cause, errMissing) || errors.Is(cause, store.ErrClosed) {
		return cause
	}
	return fmt.Errorf("%w: %s: %w; make room, or make it writable again", store.ErrUnwritable, db.path, cause)
}

func (db *DB) writeGroup(waiting []*pending) (*group, error) {
	now, err := db.timeline.Resolve(0)
	g := &group{db: db, now: now, seen: map[string]store.Entry{}}
	if err != nil {
		return g, err
	}
	err = db.update(func(tx *bbolt.Tx) error {
		log := tx.Bucket(logBucket)
		g.log = log.Cursor()
		if err := g.plan(waiting); err != nil {
			return err
		}
		return g.put(log)
	})
	if errors.Is(err, errNothing) {
		return g, nil
	}
	return g, err
}

// settle ends the doubt that a failed commit leaves; nil means that memory and disk agree again. Usually the file does not have
// the group. But if bbolt could write its very last page and not sync it, then the file as we see it has the group, and the disk may
// not. An empty commit writes that page anew, in its other place: once that is synced, the group is safe.
func (db *DB) settle() error {
	if db.doubt == nil {
		return nil
	}
	there, err := db.has(db.doubt.now)
	if err == nil && there {
		err = db.update(func(*bbolt.Tx) error { return nil })
	}
	if err != nil {
		return err
	}
	if there {
		db.publish(db.doubt)
	}
	db.doubt = nil
	return nil
}

func (db *DB) has(rev store.Revision) (there bool, err error) {
	now, err := db.timeline.Resolve(0)
	if err != nil || rev == now {
		return false, err
	}
	err = db.view(func(tx *bbolt.Tx) error {
		k, _ := tx.Bucket(logBucket).Cursor().Seek(revisionBytes(rev))
		there = bytes.Equal(k, revisionBytes(rev))
		return nil
	})
	return there, err
}

func (db *DB) update(f func(*bbolt.Tx) error) (err error) {
	defer recovered(&err)()
	return db.file.Update(f)
}

// publish moves memory on to what the disk has.
func (db *DB) publish(g *group) {
	g.published = true
	db.timeline.Publish(g.batches...)
}
