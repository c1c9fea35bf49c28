package bolt

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"sync"

	"go.etcd.io/bbolt"

	"optimist/apiserver/store"
	"optimist/apiserver/store/bolt/check"
	"optimist/apiserver/store/timeline"
)

var _ store.Store = (*DB)(nil)

// Options are for tests; the zero value is right for everything else.
type Options struct {
	NoSync bool // acknowledge before the disk has it: a power loss then loses writes, and may damage the file
}

// DB implements store.Store.
type DB struct {
	path        string
	incarnation string
	file        file
	timeline    *timeline.Timeline

	queue   chan *pending // to the writer
	closing chan struct{} // closed by Close
	stopped chan struct{} // closed by the writer, when it has ended
	close   func() error  // once

	doubt *group // of the writer: a group that the file may or may not have

	compacting sync.Mutex     // one Compact at a time
	garbage    [][]byte       // the keys in the log that no revision needs, in order; what an interrupted compaction has left is among them
	oldest     store.Revision // the first note that is not garbage
}

// file is what DB needs of *bbolt.DB.
type file interface {
	Update(func(*bbolt.Tx) error) error
	View(func(*bbolt.Tx) error) error
	Close() error
}

// Open opens the store at path, or creates it. It refuses, and leaves untouched, whatever it cannot trust.
func Open(path string, o Options) (*DB, error) {
	b, err := openFile(path, o)
	if err != nil {
		return nil, err
	}
	db, err := load(path, b)
	if err != nil {
		b.Close()
		return nil, err
	}
	go db.write()
	return db, nil
}

// Incarnation identifies this store's history: revisions of different incarnations do not compare.
func (db *DB) Incarnation() string { return db.incarnation }

func (db *DB) Now(ctx context.Context) (store.Revision, error) { return db.timeline.Resolve(0) }
func (db *DB) Progress(ctx context.Context) error              { return db.timeline.Progress() }

func (db *DB) Watch(ctx context.Context, prefix string, after store.Revision) (iter.Seq2[store.Batch, error], error) {
	return db.timeline.Watch(ctx, prefix, after, db.older)
}

// Close lets the writer finish its group and ends all watches. Commits that still wait get ErrClosed.
func (db *DB) Close() error { return db.close() }

func (db *DB) shutdown() error {
	close(db.closing)
	<-db.stopped
	db.timeline.Close()
	return db.file.Close()
}

// load reads everything that is kept in memory.
func load(path string, f file) (*DB, error) {
	db := &DB{
		path:    path,
		file:    f,
		queue:   make(chan *pending, maxGroup),
		closing: make(chan struct{}),
		stopped: make(chan struct{}),
	}
	db.close = sync.OnceValue(db.shutdown)
	err := db.view(db.loadAll)
	if errors.Is(err, errOld) {
		err = db.update(func(tx *bbolt.Tx) error {
			if err := migrate(tx); err != nil {
				return err
			}
			return db.loadAll(tx)
		})
	}
	if err != nil {
		return nil, fmt.Errorf("open the store %s: %w%s", path, err, advice(err))
	}
	return db, nil
}

func (db *DB) loadAll(tx *bbolt.Tx) error {
	meta, log := tx.Bucket(metaBucket), tx.Bucket(logBucket)
	if meta == nil || meta.Get(formatKey) == nil {
		return errors.New("it is a bbolt file of another program; check the path")
	}
	if err := checkFormat(meta.Get(formatKey)); err != nil {
		return err
	}
	floor, err := parseRevision(meta.Get(compactedKey))
	if err != nil || log == nil {
		return damaged(errNoBucket)
	}
	db.incarnation = string(meta.Get(incarnationKey))
	x := timeline.NewIndex()
	now, err := db.loadLog(log, floor, x)
	if err != nil {
		return damaged(err)
	}
	db.timeline = timeline.New(floor, now, x)
	return db.discard(floor)
}

func damaged(err error) error { return fmt.Errorf("the file is damaged: %w; %s", err, check.Advice) }

var errOld, errNoBucket = errors.New("an older version wrote it"), errors.New("a bucket is missing")

func checkFormat(b []byte) error {
	n, err := strconv.Atoi(string(b))
	switch {
	case err != nil || n < 1:
		return errors.New("it is a bbolt file of another program; check the path")
	case n > format:
		return fmt.Errorf("a newer version wrote it (format %d, this version knows %d); run that version, or restore a backup made by this one", n, format)
	case n < format:
		return errOld
	}
	return nil
}

// loadLog returns the newest revision, after making sure that none is missing above the compacted one, and adds all changes to the index.
func (db *DB) loadLog(log *bbolt.Bucket, floor store.Revision, x *timeline.Index) (store.Revision, error) {
	last := store.Revision(-1)
	c := log.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		rev, sub, note, err := parseLogKey(k)
		switch {
		case err != nil:
			return 0, err
		case note && last < 0 && rev <= max(floor, 1):
			db.oldest, last = rev, rev
		case note && last >= 0 && rev == last+1:
			last = rev
		case !note && rev <= max(last, floor):
			change, err := parseChange(v)
			if err != nil {
				return 0, err
			}
			x.Add(timeline.Version{Key: change.Key, Mod: rev, Sub: sub, Gone: change.Value == nil})
		default:
			return 0, fmt.Errorf("the log misses revision %d", max(last+1, floor, 1))
		}
	}
	if last < floor && (last >= 0 || floor > 0) {
		return 0, fmt.Errorf("the log ends before the compacted revision %d", floor)
	}
	return max(last, 0), nil
}
