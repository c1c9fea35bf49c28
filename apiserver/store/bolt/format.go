package bolt

import (
	"encoding/binary"
	"errors"

	"optimist/apiserver/store"
)

// format is the version of what this file describes. Whoever changes a byte raises it and writes the migration.
const format = 2

var (
	metaBucket = []byte("meta")
	logBucket  = []byte("revisions")

	formatKey      = []byte("format")      // decimal
	incarnationKey = []byte("incarnation") // hex
	compactedKey   = []byte("compacted")   // a revision
)

var errGarbled = errors.New("a record is garbled")

func revisionBytes(r store.Revision) []byte { return binary.BigEndian.AppendUint64(nil, uint64(r)) }

func parseRevision(b []byte) (store.Revision, error) {
	if len(b) != 8 || b[0] >= 0x80 {
		return 0, errGarbled
	}
	return store.Revision(binary.BigEndian.Uint64(b)), nil
}

// Keys of the log, which has everything: a revision, for the note of its transaction; behind it that revision and a number, for each change.

func changeKey(r store.Revision, sub uint32) []byte {
	return binary.BigEndian.AppendUint32(revisionBytes(r), sub)
}

func parseLogKey(b []byte) (r store.Revision, sub uint32, note bool, err error) {
	if note = len(b) != 12; !note {
		sub, b = binary.BigEndian.Uint32(b[8:]), b[:8]
	}
	r, err = parseRevision(b)
	return r, sub, note, err
}

// Changes: one byte that tells values from deletions, the revision that created the key, the key with its length, the value.

const (
	header   = 1 + 8
	written  = 'v'
	deletion = 'd'
)

func changeValue(c store.Change) []byte {
	kind := byte(written)
	if c.Value == nil {
		kind = deletion
	}
	b := append(make([]byte, 0, header+binary.MaxVarintLen32+len(c.Key)+len(c.Value)), kind)
	b = binary.BigEndian.AppendUint64(b, uint64(c.Create))
	b = binary.AppendUvarint(b, uint64(len(c.Key)))
	return append(append(b, c.Key...), c.Value...)
}

// parseChange leaves out what was there before. The value points into bbolt's memory until it is cloned.
func parseChange(b []byte) (c store.Change, err error) {
	if len(b) < header || b[0] != written && b[0] != deletion {
		return c, errGarbled
	}
	key, value, err := cutKey(b[header:])
	c = store.Change{Key: string(key), Create: store.Revision(binary.BigEndian.Uint64(b[1:]))}
	if b[0] == written {
		c.Value = value
	}
	return c, err
}

func cutKey(b []byte) (key, rest []byte, err error) {
	length, size := binary.Uvarint(b)
	if size <= 0 || length == 0 || length > uint64(len(b)-size) {
		return nil, nil, errGarbled
	}
	b = b[size:]
	return b[:length:length], b[length:], nil
}
