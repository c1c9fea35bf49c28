package bolt

import (
	"errors"
	"os"
	"os/signal"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"optimist/apiserver/store"
)

// A limit on the size of files fails the same system calls as a full disk.
func TestFullDisk(t *testing.T) {
	path := somewhere(t)
	db := quick(t, path)
	last := put(t, db, "/a", "1")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	lift := limitFiles(t, uint64(info.Size())+1<<20)
	value := []byte(strings.Repeat("x", 300<<10))
	for err == nil {
		var rev store.Revision
		if rev, err = db.Commit(t.Context(), store.Txn{Do: []store.Op{{Key: "/b", Value: value}}}); err == nil {
			last = rev
		}
		if last > 1000 {
			t.Fatal("the limit does not limit")
		}
	}
	if !errors.Is(err, store.ErrUnwritable) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	if e, err := db.Get(t.Context(), "/a", 0); string(e.Value) != "1" || err != nil {
		t.Errorf("reads do not go on: %s, %v", e.Value, err)
	}
	lift()
	if rev := put(t, db, "/c", string(value)); rev != last+1 {
		t.Errorf("the next revision is %d, want %d", rev, last+1)
	}
	sameAfterRestart(t, db, path)
}

func limitFiles(t *testing.T, size uint64) (lift func()) {
	signal.Ignore(unix.SIGXFSZ)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	lift = func() { unix.Setrlimit(unix.RLIMIT_FSIZE, &old) }
	t.Cleanup(lift)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: size, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	return lift
}
