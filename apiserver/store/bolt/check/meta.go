package check

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// PageSize is that of every store, on every machine, so that files can be moved.
const PageSize = 4096

// Advice says what to do about a damaged file.
const Advice = "restore it from a backup, or move it away to start with an empty store"

const (
	magic   = 0xED0CDAED
	version = 2
	none    = ^uint64(0) // no list of free pages
)

// pageHeader stands at the beginning of every page.
type pageHeader struct {
	ID       uint64
	Flags    uint16
	Count    uint16
	Overflow uint32 // how many pages follow that belong to this one
}

const headerSize = 16

const (
	branchPage = 1
	leafPage   = 2
	metaPage   = 4
	freePage   = 16
)

// meta is the content of pages 0 and 1.
type meta struct {
	Magic, Version, PageSize, Flags uint32
	Root, Sequence, Free, Pages, Tx uint64
	Checksum                        uint64
}

const metaSize = 64

var errForeign = errors.New("it is not a bbolt file; check the path")

// File returns nil for a file that bbolt can be trusted with.
func File(r io.ReaderAt, size int64) error {
	if size == 0 {
		return errors.New("the file is empty; " + Advice)
	}
	m, err := newest(r, size)
	if err != nil {
		return err
	}
	if m.Pages > uint64(size)/PageSize {
		return fmt.Errorf("the file is truncated: it should have %d pages of %d bytes, and has %d bytes; %s", m.Pages, PageSize, size, Advice)
	}
	w := walker{file: r, pages: m.Pages, seen: make([]bool, m.Pages)}
	if err := w.all(m); err != nil {
		return fmt.Errorf("the file is damaged: %w; %s", err, Advice)
	}
	return nil
}

// newest returns the meta page that counts: the other one may be torn by a crash.
func newest(r io.ReaderAt, size int64) (meta, error) {
	var found meta
	foreign := true
	for page := range int64(2) {
		m, err := readMeta(r, page)
		if err == nil && (found.Checksum == 0 || m.Tx > found.Tx) {
			found = m
		}
		foreign = foreign && m.Magic != magic
	}
	switch {
	case found.Checksum != 0 && found.PageSize != PageSize:
		return found, fmt.Errorf("its pages have %d bytes, those of a store %d; check the path", found.PageSize, PageSize)
	case found.Checksum != 0:
		return found, nil
	case foreign:
		return found, errForeign
	}
	return found, errors.New("the file is damaged: both of its first pages are; " + Advice)
}

func readMeta(r io.ReaderAt, page int64) (m meta, err error) {
	b := make([]byte, headerSize+metaSize)
	if _, err := r.ReadAt(b, page*PageSize); err != nil {
		return m, err
	}
	b = b[headerSize:]
	if err := binary.Read(bytes.NewReader(b), binary.NativeEndian, &m); err != nil {
		return m, err
	}
	sum := fnv.New64a()
	sum.Write(b[:metaSize-8])
	if m.Magic != magic || m.Version != version || m.Checksum != sum.Sum64() {
		return m, errForeign
	}
	return m, nil
}
