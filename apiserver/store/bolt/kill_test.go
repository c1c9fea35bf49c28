package bolt

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"optimist/apiserver/store"
)

// TestMain turns the test binary into a writer that waits to be killed, if it is told a path.
func TestMain(m *testing.M) {
	if path := os.Getenv("OPTIMIST_WRITE"); path != "" {
		fmt.Fprintln(os.Stderr, writeUntilKilled(path))
		os.Exit(1)
	}
	if path := os.Getenv("OPTIMIST_LIVE"); path != "" {
		if err := liveShortly(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// writeUntilKilled has eight writers commit, and prints what was acknowledged: revision, key.
func writeUntilKilled(path string) error {
	db, err := Open(path, Options{})
	if err != nil {
		return err
	}
	failed := make(chan error)
	var print sync.Mutex
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("/k/%d/%d", w, i%20)
				rev, err := db.Commit(context.Background(), store.Txn{Do: []store.Op{{Key: key, Value: []byte(key)}}, Note: []byte(key)})
				if err != nil {
					failed <- err
				}
				print.Lock()
				fmt.Printf("%d %s\n", rev, key)
				print.Unlock()
				if rev%100 == 0 {
					db.Compact(context.Background(), rev-90)
				}
			}
		}()
	}
	return <-failed
}

// liveShortly goes through all that a store does: it makes its folder and its file, writes, compacts, writes, closes, opens, and writes.
// It prints what is acknowledged.
func liveShortly(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	for range 2 {
		db, err := Open(path, Options{})
		if err != nil {
			return err
		}
		for i := range 12 {
			key := fmt.Sprintf("/k/%d", i%5)
			rev, err := db.Commit(context.Background(), store.Txn{Do: []store.Op{{Key: key, Value: []byte(key)}}, Note: []byte(key)})
			if err != nil {
				return err
			}
			fmt.Println(rev, key)
			if i%5 == 4 {
				if err := db.Compact(context.Background(), rev-2); err != nil {
					return err
				}
			}
		}
		if err := db.Close(); err != nil {
			return err
		}
	}
	return nil
}

func TestKill(t *testing.T) {
	kills := 20
	if os.Getenv("OPTIMIST_LONG") != "" {
		kills = 300
	}
	path := somewhere(t)
	var last store.Revision
	for range kills {
		acknowledged := writeAndKill(t, path)
		last = verify(t, path, Options{}, last, acknowledged)
	}
	if last < store.Revision(kills) {
		t.Errorf("only %d revisions were written", last)
	}
}

// writeAndKill lets a child write for a moment and returns what it printed before it was killed.
func writeAndKill(t *testing.T, path string) map[store.Revision]string {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "OPTIMIST_WRITE="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	acknowledged := acknowledgements(t, bufio.NewReader(out), func() {
		time.AfterFunc(time.Duration(rand.IntN(60_000))*time.Microsecond, func() { child.Process.Kill() })
	})
	if err := child.Wait(); err == nil || child.ProcessState.ExitCode() != -1 {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return acknowledged
}

// acknowledgements reads what a child printed, up to half a line.
func acknowledgements(t *testing.T, lines *bufio.Reader, first func()) map[store.Revision]string {
	acknowledged := map[store.Revision]string{}
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return acknowledged
		}
		if len(acknowledged) == 0 && first != nil {
			first()
		}
		var rev store.Revision
		var key string
		if _, err := fmt.Sscan(strings.TrimSpace(line), &rev, &key); err != nil {
			t.Fatal(err)
		}
		acknowledged[rev] = key
	}
}

// verify opens the file, which checks that no revision is missing, and looks for everything that was acknowledged.
func verify(t *testing.T, path string, o Options, before store.Revision, acknowledged map[store.Revision]string) store.Revision {
	db, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	now, _ := db.Now(t.Context())
	for rev, key := range acknowledged {
		if rev <= before || rev > now {
			t.Errorf("revision %d was acknowledged; the store was at %d and is at %d", rev, before, now)
			continue
		}
		newest, err := db.Get(t.Context(), key, 0)
		if err != nil || newest.Mod < rev || string(newest.Value) != key {
			t.Errorf("%s was acknowledged at %d; now: %+v, %v", key, rev, newest, err)
		}
		if then, err := db.Get(t.Context(), key, max(rev, db.timeline.Floor())); err != nil || rev >= db.timeline.Floor() && then.Mod != rev {
			t.Errorf("%s was acknowledged at %d; then: %+v, %v", key, rev, then, err)
		}
	}
	for _, b := range replayAll(t, db) {
		if key, ok := acknowledged[b.Revision]; ok && string(b.Note) != key {
			t.Errorf("revision %d: the log notes %q, %q was acknowledged", b.Revision, b.Note, key)
		}
	}
	return now
}

func replayAll(t *testing.T, db *DB) (all []store.Batch) {
	now, _ := db.Now(t.Context())
	for after := db.timeline.Floor(); after < now; {
		batches, err := db.older(after, now)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, batches...)
		after = batches[len(batches)-1].Revision
	}
	return all
}
