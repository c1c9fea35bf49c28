package bolt

import (
	"context"
	"iter"
	"sync"

	"go.etcd.io/bbolt"

	"optimist/apiserver/store"
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

	mu    sync.RWMutex
	index map[string]store.Entry // every key that exists; Value only while it is recent. Only the writer changes it

	doubt *group // of the writer: a group that the file may or may not have

	compacting sync.Mutex // one Compact at a time
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
