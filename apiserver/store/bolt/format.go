package bolt

import (
	"encoding/binary"
	"errors"

	"optimist/apiserver/store"
)

// format is the version of what this file describes. Whoever changes a byte raises it and writes the migration.
const format = 1

var (
	metaBucket = []byte("meta")
	dataBucket = []byte("data")
	logBucket  = []byte("log")

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

// Data keys: the key, a zero byte, the inverted revision.

const suffix = 1 + 8

func dataKey(key string, r store.Revision) []byte {
	b := make([]byte, 0, len(key)+suffix)
	b = append(b, key...)
	b = append(b, 0)
	return binary.BigEndian.AppendUint64(b, ^uint64(r))
}

func parseDataKey(b []byte) (key []byte, r store.Revision, err error) {
	n := len(b) - suffix
	if n < 1 || b[n] != 0 || b[n+1] < 0x80 {
		return nil, 0, errGarbled
	}
	return b[:n], store.Revision(^binary.BigEndian.Uint64(b[n+1:])), nil
}

// afterVersions is a seek target behind all versions of a key and before the next one.
func afterVersions(key []byte) []byte { return append(append([]byte{}, key...), 1) }

// Data values: one byte that tells values from deletions, the creation revision, the value.

const (
	header   = 1 + 8
	written  = 'v'
	deletion = 'd'
)

func dataValue(c store.Change) []byte {
	b := make([]byte, 0, header+len(c.Value))
	kind := byte(written)
	if c.Value == nil {
		kind = deletion
	}
	b = binary.BigEndian.AppendUint64(append(b, kind), uint64(c.Create))
	return append(b, c.Value...)
}

// version is one record of the data bucket; entry.Value is nil for a deletion, whose entry.Create is that of what it deleted.
// It points into bbolt's memory until it is cloned.
func parseVersion(key string, mod store.Revision, b []byte) (e store.Entry, err error) {
	if len(b) < header || b[0] != written && b[0] != deletion {
		return e, errGarbled
	}
	e = store.Entry{Key: key, Mod: mod, Create: store.Revision(binary.BigEndian.Uint64(b[1:]))}
	if b[0] == written {
		e.Value = b[header:]
	}
	return e, nil
}

// Log values: the number of keys, each key with its length, the note.

func logValue(b store.Batch) []byte {
	v := binary.AppendUvarint(nil, uint64(len(b.Changes)))
	for _, c := range b.Changes {
		v = binary.AppendUvarint(v, uint64(len(c.Key)))
		v = append(v, c.Key...)
	}
	return append(v, b.Note...)
}

func parseLog(b []byte) (keys []string, note []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 {
		return nil, nil, errGarbled
	}
	b = b[size:]
	for range n {
		length, size := binary.Uvarint(b)
		if size <= 0 || length > uint64(len(b)-size) {
			return nil, nil, errGarbled
		}
		b = b[size:]
		keys, b = append(keys, string(b[:length])), b[length:]
	}
	return keys, b, nil
}
