package store

import (
	"strings"
	"testing"
)

func TestTxnCheck(t *testing.T) {
	for _, row := range []struct {
		name string
		keys []string
		want string
	}{
		{"different keys are fine", []string{"/a", "/b"}, ""},
		{"a key must say something", []string{""}, "must not be empty"},
		{"a key is written once", []string{"/a", "/a"}, `"/a" is written twice`},
		{"a zero byte ends keys on disk", []string{"/a\x00b"}, "zero byte"},
		{"a key has to fit a page of the index", []string{strings.Repeat("k", MaxKey+1)}, "16385 bytes long"},
		{"the longest key is fine", []string{strings.Repeat("k", MaxKey)}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			var txn Txn
			for _, k := range row.keys {
				txn.Do = append(txn.Do, Op{Key: k})
			}
			err := txn.Check()
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}
