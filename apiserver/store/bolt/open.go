package bolt

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"optimist/apiserver/store/bolt/check"
)

// openFile opens, locks and checks the file, in this order, and gives the very same file to bbolt.
func openFile(path string, o Options) (*bbolt.DB, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(path); err != nil && !errors.Is(err, fs.ErrExist) { // another process was faster
			return nil, fmt.Errorf("create the store %s: %w%s", path, err, advice(err))
		}
	}
	if !o.NoSync {
		if err := syncFolders(path); err != nil {
			return nil, fmt.Errorf("open the store %s: %w", path, err)
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open the store %s: %w%s", path, err, advice(err))
	}
	b, err := adopt(f, o)
	if err != nil {
		f.Close() // nothing to lose: it has not been written to
		return nil, fmt.Errorf("open the store %s: %w", path, err)
	}
	return b, nil
}

func adopt(f *os.File, o Options) (*bbolt.DB, error) {
	if err := lock(f); err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file; check the path")
	}
	if err := check.File(f, info.Size()); err != nil {
		return nil, err
	}
	return startBolt(f, o)
}

// startBolt turns bbolt's panics into errors; check.File should have left none.
func startBolt(f *os.File, o Options) (b *bbolt.DB, err error) {
	defer recovered(&err)()
	b, err = bbolt.Open(f.Name(), 0, boltOptions(f, o))
	if err != nil {
		return nil, err
	}
	if !o.NoSync { // a process that was killed may have left pages that only the page cache has
		if err := b.Sync(); err != nil {
			b.Close()
			return nil, err
		}
	}
	return b, nil
}

func boltOptions(f *os.File, o Options) *bbolt.Options {
	return &bbolt.Options{
		OpenFile:        func(string, int, os.FileMode) (*os.File, error) { return f, nil },
		Timeout:         time.Millisecond, // we hold the lock already
		PageSize:        check.PageSize,
		InitialMmapSize: 1 << 30, // address space only; growing the map has to wait for all readers
		FreelistType:    bbolt.FreelistMapType,
		NoFreelistSync:  true, // it is found again by the walk through all pages that opening needs anyway
		NoStatistics:    true,
		NoSync:          o.NoSync,
	}
}

// create makes an empty store under another name first, so that a file at path is always whole.
func create(path string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	b, err := startBolt(f, Options{})
	if err != nil {
		f.Close()
		return err
	}
	return errors.Join(b.Update(initialize), b.Close(), os.Link(f.Name(), path))
}

func initialize(tx *bbolt.Tx) error {
	for _, name := range [][]byte{metaBucket, logBucket} {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	id := make([]byte, 16)
	rand.Read(id) // never fails
	meta := tx.Bucket(metaBucket)
	return errors.Join(
		meta.Put(formatKey, strconv.AppendInt(nil, format, 10)),
		meta.Put(incarnationKey, hex.AppendEncode(nil, id)),
		meta.Put(compactedKey, revisionBytes(0)),
	)
}

// syncFolders makes sure that a loss of power leaves the file its name, and its folders theirs. Who made them may have been killed before
// they were synced: then, as with the pages of the file, only the page cache has them.
func syncFolders(path string) error {
	dir, err := filepath.Abs(path)
	for err == nil && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		err = syncFolder(dir)
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EINVAL) {
			err = nil // one that is not ours, or of a file system that has nothing to sync
		}
	}
	return err
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func advice(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "; this user must be allowed to read and write the file and its folder"
	case errors.Is(err, fs.ErrNotExist):
		return "; create the folder first"
	case errors.Is(err, syscall.ENOSPC):
		return "; make room on that disk"
	case errors.Is(err, syscall.EROFS):
		return "; that disk is mounted read-only: make it writable, or choose another path"
	}
	return ""
}

// recovered turns a panic, also that of an unreadable mapped page, into an error: defer recovered(&err)().
func recovered(err *error) func() {
	old := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(old)
		if p := recover(); p != nil {
			*err = damaged(fmt.Errorf("%v", p))
		}
	}
}
