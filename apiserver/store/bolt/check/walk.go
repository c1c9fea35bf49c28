package check

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// walker visits every page once.
type walker struct {
	file  io.ReaderAt
	pages uint64
	seen  []bool
}

func (w *walker) all(m meta) error {
	if m.Pages < 3 {
		return errors.New("it has no pages")
	}
	w.seen[0], w.seen[1] = true, true
	if err := w.visit(m.Root, true, nil, nil); err != nil || m.Free == none {
		return err
	}
	return w.free(m.Free)
}

// read claims a page, with those that belong to it.
func (w *walker) read(id uint64) (h pageHeader, b []byte, err error) {
	if id >= w.pages {
		return h, nil, fmt.Errorf("page %d does not exist", id)
	}
	first := make([]byte, headerSize)
	if _, err := w.file.ReadAt(first, int64(id)*PageSize); err != nil {
		return h, nil, err
	}
	h = parseHeader(first)
	if h.ID != id || uint64(h.Overflow) >= w.pages-id {
		return h, nil, fmt.Errorf("page %d is overwritten", id)
	}
	for i := range uint64(h.Overflow) + 1 {
		if w.seen[id+i] {
			return h, nil, fmt.Errorf("page %d is used twice", id+i)
		}
		w.seen[id+i] = true
	}
	b = make([]byte, (int(h.Overflow)+1)*PageSize)
	_, err = w.file.ReadAt(b, int64(id)*PageSize)
	return h, b, err
}

func parseHeader(b []byte) pageHeader {
	e := binary.NativeEndian
	return pageHeader{ID: e.Uint64(b), Flags: e.Uint16(b[8:]), Count: e.Uint16(b[10:]), Overflow: e.Uint32(b[12:])}
}

// visit checks a tree whose keys must not be below low, and must be below high (nil: no bound). Only the root's leaves hold buckets.
func (w *walker) visit(id uint64, root bool, low, high []byte) error {
	h, b, err := w.read(id)
	if err != nil {
		return err
	}
	elements, err := parsePage(h, b)
	if err == nil {
		err = inOrder(elements, low, high)
	}
	if err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	for i, e := range elements {
		switch {
		case h.Flags == branchPage:
			next := high
			if i+1 < len(elements) {
				next = elements[i+1].key
			}
			err = w.visit(e.page, root, e.key, next)
		case root != e.bucket:
			err = fmt.Errorf("page %d: buckets and values are mixed up", id)
		case e.bucket:
			err = w.bucket(e.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bucket checks one that has pages of its own, or is so small that it stands in its parent's.
func (w *walker) bucket(value []byte) error {
	const bucketHeader = 16 // root page, sequence
	if len(value) < bucketHeader {
		return errors.New("a bucket is cut off")
	}
	if id := binary.NativeEndian.Uint64(value); id != 0 {
		return w.visit(id, false, nil, nil)
	}
	inline := value[bucketHeader:]
	if len(inline) < headerSize {
		return errors.New("a small bucket is cut off")
	}
	h := parseHeader(inline)
	elements, err := parsePage(h, inline)
	if err == nil && h.Flags != leafPage {
		err = errors.New("a small bucket has branches")
	}
	for _, e := range elements {
		if e.bucket {
			return errors.New("a bucket within a bucket")
		}
	}
	if err != nil {
		return err
	}
	return inOrder(elements, nil, nil)
}

type element struct {
	key, value []byte
	page       uint64
	bucket     bool
}

const elementSize = 16

func parsePage(h pageHeader, b []byte) ([]element, error) {
	if h.Flags != branchPage && h.Flags != leafPage || h.Flags == branchPage && h.Count == 0 {
		return nil, errors.New("it is neither branch nor leaf")
	}
	if headerSize+int(h.Count)*elementSize > len(b) {
		return nil, errors.New("it claims more than fits")
	}
	elements := make([]element, h.Count)
	for i := range elements {
		var err error
		if elements[i], err = parseElement(h, b[headerSize+i*elementSize:]); err != nil {
			return nil, err
		}
	}
	return elements, nil
}

// parseElement: a leaf's has flags, offset, length of key, length of value; a branch's has offset, length of key, page.
func parseElement(h pageHeader, b []byte) (e element, err error) {
	word := func(i int) uint64 { return uint64(binary.NativeEndian.Uint32(b[4*i:])) }
	offset, key, value := word(1), word(2), word(3)
	if h.Flags == branchPage {
		offset, key, value = word(0), word(1), 0
		e.page = binary.NativeEndian.Uint64(b[8:])
	}
	if offset < elementSize || offset+key+value > uint64(len(b)) {
		return e, errors.New("an entry lies outside")
	}
	e.key, e.value = b[offset:offset+key], b[offset+key:offset+key+value]
	if h.Flags == leafPage {
		e.bucket = word(0) == 1
		if word(0) > 1 {
			return e, errors.New("an entry is of no known kind")
		}
	}
	return e, nil
}

func inOrder(elements []element, low, high []byte) error {
	for i, e := range elements {
		if i == 0 && bytes.Compare(e.key, low) < 0 || i > 0 && bytes.Compare(e.key, elements[i-1].key) <= 0 ||
			high != nil && bytes.Compare(e.key, high) >= 0 {
			return errors.New("its keys are not in order")
		}
	}
	return nil
}

// free checks the list of free pages. Our files have none, but one that bbolt's own tools have copied does.
func (w *walker) free(id uint64) error {
	h, b, err := w.read(id)
	if err != nil {
		return err
	}
	b = b[headerSize:]
	n := uint64(h.Count)
	if n == 0xFFFF { // the count did not fit
		n, b = binary.NativeEndian.Uint64(b), b[8:]
	}
	if h.Flags != freePage || n > uint64(len(b)/8) {
		return fmt.Errorf("page %d is not the list of free pages", id)
	}
	for i := range n {
		page := binary.NativeEndian.Uint64(b[8*i:])
		if page < 2 || page >= w.pages || w.seen[page] {
			return fmt.Errorf("page %d is both free and in use", page)
		}
		w.seen[page] = true
	}
	return nil
}
