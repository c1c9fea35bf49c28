package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// rotated is a file that moves aside when it is full: x.log → x.log.1 → x.log.2 → gone.
type rotated struct {
	path  string
	limit int64
	keep  int

	mu   sync.Mutex
	file *os.File // guarded by mu; nil after a failed rotation: the next write tries again
	size int64    // guarded by mu
}

func open(path string, limit int64, keep int) (*rotated, error) {
	if path == "" {
		return nil, errors.New("-file is needed")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	r := &rotated{path: path, limit: limit, keep: max(keep, 1)}
	return r, r.reopen()
}

func (r *rotated) reopen() error {
	f, err := os.OpenFile(r.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r.file, r.size = f, info.Size()
	return nil
}

// write appends one entry, never splitting it over two files.
func (r *rotated) write(entry []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil && r.size > 0 && r.size+int64(len(entry)) > r.limit {
		r.shift()
	}
	if r.file == nil {
		if err := r.reopen(); err != nil {
			return err
		}
	}
	n, err := r.file.Write(entry)
	r.size += int64(n)
	return err
}

func (r *rotated) shift() {
	_ = r.file.Close()
	r.file = nil
	if r.keep == 1 {
		_ = os.Remove(r.path)
		return
	}
	for i := r.keep - 1; i > 1; i-- {
		_ = os.Rename(fmt.Sprintf("%s.%d", r.path, i-1), fmt.Sprintf("%s.%d", r.path, i))
	}
	_ = os.Rename(r.path, r.path+".1")
}
