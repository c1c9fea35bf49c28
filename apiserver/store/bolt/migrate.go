package bolt

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"

	"go.etcd.io/bbolt"

	"optimist/apiserver/store"
)

// migrate rewrites a file of format 1, within the transaction that opens it:
//
//	data   key, zero byte, inverted revision  →  as in format 2, without the key
//	log    revision  →  how many keys it changed, each with its length, and its note
func migrate(tx *bbolt.Tx) error {
	oldData, oldLog := []byte("data"), []byte("log")
	data, log := tx.Bucket(oldData), tx.Bucket(oldLog)
	if data == nil || log == nil {
		return damaged(errNoBucket)
	}
	type record struct{ key, value []byte }
	var all []record
	subs := map[string]uint32{} // by the key of data: which change of its revision it is; those that the log has forgotten are numbered throughout
	err := log.ForEach(func(k, v []byte) error {
		rev, err := parseRevision(k)
		n, size := binary.Uvarint(v)
		if err != nil || size <= 0 {
			return errGarbled
		}
		v = v[size:]
		for i := range uint32(n) {
			var key []byte
			if key, v, err = cutKey(v); err != nil {
				return err
			}
			subs[string(binary.BigEndian.AppendUint64(append(bytes.Clone(key), 0), ^uint64(rev)))] = i
		}
		all = append(all, record{k, v})
		return nil
	})
	err = cmp.Or(err, data.ForEach(func(k, v []byte) error {
		n := len(k) - 9
		if n < 1 || k[n] != 0 || len(v) < header {
			return errGarbled
		}
		sub, logged := subs[string(k)]
		if !logged {
			sub = uint32(len(all))
		}
		rev := store.Revision(^binary.BigEndian.Uint64(k[n+1:]))
		key := binary.AppendUvarint(nil, uint64(n))
		all = append(all, record{changeKey(rev, sub), slices.Concat(v[:header], key, k[:n], v[header:])})
		return nil
	}))
	if err != nil {
		return damaged(err)
	}
	slices.SortFunc(all, func(a, b record) int { return bytes.Compare(a.key, b.key) })
	b, err := tx.CreateBucket(logBucket)
	if err != nil {
		return err
	}
	b.FillPercent = 1
	for _, r := range all {
		if err := b.Put(r.key, r.value); err != nil {
			return err
		}
	}
	return errors.Join(tx.DeleteBucket(oldData), tx.DeleteBucket(oldLog), tx.Bucket(metaBucket).Put(formatKey, strconv.AppendInt(nil, format, 10)))
}
