package watch

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"optimist/apiserver/store"
	"optimist/apiserver/store/bolt"
	"optimist/apiserver/store/memory"
)

// Both tests together make 1,000,000 writes at full length, and 40,000 as a share; each is told to about ten watchers.
func TestWatchMemory(t *testing.T) {
	s := memory.New()
	validate(t, func() (store.Store, error) { return s, nil })
}

// Over bolt a restart closes the file and opens it again. It need not sync: nobody's power fails here.
func TestWatchBolt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	var db *bolt.DB
	t.Cleanup(func() { db.Close() })
	validate(t, func() (s store.Store, err error) {
		if db != nil {
			if err := db.Close(); err != nil {
				return nil, err
			}
		}
		db, err = bolt.Open(path, bolt.Options{NoSync: true})
		return db, err
	})
}

func validate(t *testing.T, open func() (store.Store, error)) {
	phases := 4
	switch {
	case os.Getenv("OPTIMIST_LONG") != "":
		phases = 100
	case testing.Short():
		phases = 2
	}
	w := newWorld(t, open)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, x := range w.watchers {
		running.Go(func() { x.run(ctx) })
	}
	began := time.Now()
	var err error
	for n := 0; n < phases && err == nil; n++ {
		err = w.phase(ctx)
	}
	took := time.Since(began)
	cancel()
	running.Wait()
	if err != nil {
		t.Fatal(err)
	}
	report(t, w, took)
}

func report(t *testing.T, w *world, took time.Duration) {
	var events, lists, resumes, bookmarks int
	for _, x := range w.watchers {
		events, lists, resumes, bookmarks = events+x.events, lists+x.lists, resumes+x.resumes, bookmarks+x.bookmarks
	}
	writes := len(w.journal.records)
	t.Logf("%d writes, %d events to %d watchers in %.1f s: %.0f writes/s, %.0f events/s; %d restarts, %d times resumed, %d times listed (again), %d bookmarks, compacted to %d, %d visitors too late",
		writes, events, len(w.watchers), took.Seconds(), float64(writes)/took.Seconds(), float64(events)/took.Seconds(),
		w.restarts, resumes, lists, bookmarks, w.floor, w.expired)
	if lists <= len(w.watchers) || resumes == 0 || bookmarks == 0 || w.floor == 0 || w.restarts == 0 {
		t.Error("that was too quiet to prove anything")
	}
}
