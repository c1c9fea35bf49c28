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

// load reads everything that is kept in memory.
func load(path string, f file) (*DB, error) {
	db := &DB{
		path:    path,
		file:    f,
		queue:   make(chan *pending, maxGroup),
		closing: make(chan struct{}),
		stopped: make(chan struct{}),
		index:   map[string]store.Entry{},
	}
	db.close = sync.OnceValue(db.shutdown)
	if err := db.view(db.loadAll); err != nil {
		return nil, fmt.Errorf("open the store %s: %w", path, err)
	}
	return db, nil
}

func (db *DB) loadAll(tx *bbolt.Tx) error {
	meta, data, log := tx.Bucket(metaBucket), tx.Bucket(dataBucket), tx.Bucket(logBucket)
	if meta == nil || meta.Get(formatKey) == nil {
		return errors.New("it is a bbolt file of another program; check the path")
	}
	if err := checkFormat(meta.Get(formatKey)); err != nil {
		return err
	}
	floor, err := parseRevision(meta.Get(compactedKey))
	if err != nil || data == nil || log == nil {
		return fmt.Errorf("the file is damaged: a bucket is missing; %s", check.Advice)
	}
	db.incarnation = string(meta.Get(incarnationKey))
	now, err := loadLog(log, floor)
	if err == nil {
		err = db.loadIndex(data, now)
	}
	if err != nil {
		return fmt.Errorf("the file is damaged: %w; %s", err, check.Advice)
	}
	db.timeline = timeline.New(floor, now)
	return nil
}

func checkFormat(b []byte) error {
	n, err := strconv.Atoi(string(b))
	switch {
	case err != nil || n < 1:
		return errors.New("it is a bbolt file of another program; check the path")
	case n > format:
		return fmt.Errorf("a newer version wrote it (format %d, this version knows %d); run that version, or restore a backup made by this one", n, format)
	}
	return nil
}

// loadLog returns the newest revision, after making sure that none is missing above the compacted one.
func loadLog(log *bbolt.Bucket, floor store.Revision) (store.Revision, error) {
	last := store.Revision(-1)
	c := log.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		r, err := parseRevision(k)
		if err == nil {
			_, _, err = parseLog(v)
		}
		if err != nil {
			return 0, err
		}
		if last < 0 && r > max(floor, 1) || last >= 0 && r != last+1 {
			return 0, fmt.Errorf("the log misses revision %d", max(last+1, floor, 1))
		}
		last = r
	}
	if last < floor {
		if last < 0 && floor == 0 {
			return 0, nil
		}
		return 0, fmt.Errorf("the log ends before the compacted revision %d", floor)
	}
	return last, nil
}

// loadIndex finds the newest version of every key.
func (db *DB) loadIndex(data *bbolt.Bucket, now store.Revision) error {
	var previous string
	c := data.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		key, mod, err := parseDataKey(k)
		if err != nil {
			return err
		}
		if string(key) == previous {
			continue
		}
		previous = string(key)
		e, err := parseVersion(previous, mod, v)
		if err != nil {
			return err
		}
		if mod > now {
			return fmt.Errorf("key %q is newer than the log", key)
		}
		if e.Value != nil {
			e.Value = nil
			db.index[previous] = e
		}
	}
	return nil
}
