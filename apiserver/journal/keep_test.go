package journal

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/apiserver/registry"
	"optimist/apiserver/store"
	"optimist/apiserver/store/bolt"
	"optimist/apiserver/store/memory"
	"optimist/internal/api"
)

// running runs a journal until the end of the test or of what it returns.
func running(t *testing.T, j *Journal) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func floorOf(t *testing.T, j *Journal) store.Revision {
	t.Helper()
	floor, _, err := j.span(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return floor
}

// scribble writes one of a few objects so many times, each of about so many bytes.
func scribble(t *testing.T, r *registry.Registry, n, size int) {
	t.Helper()
	for i := range n {
		name := fmt.Sprint("c", rand.IntN(10))
		text := fmt.Sprint(i, strings.Repeat("x", size), rand.Int())
		o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Data: map[string]string{"k": text}}
		_, err := api.ConfigMaps.Update(t.Context(), r, o)
		if err != nil {
			_, err = api.ConfigMaps.Create(t.Context(), r, o)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestAgeIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, j, at := tenMinutes(t)
		j.keep.Age = 10 * time.Minute
		stop := running(t, j)
		time.Sleep(9*time.Minute + 30*time.Second)
		if floor := floorOf(t, j); floor >= store.Revision(at[9]) || floor < store.Revision(at[6]) {
			t.Errorf("after less than ten minutes the journal begins after %d of %v", floor, at)
		}
		stop()
		j = New(j.store, api.Builtin, j.keep, j.log) // a restart: the notes know the time
		defer running(t, j)()
		time.Sleep(2 * time.Minute)
		if floor := floorOf(t, j); floor != store.Revision(at[9]) {
			t.Errorf("after twelve minutes the journal begins after %d of %v", floor, at)
		}
	})
}

// What is too much is forgotten, but not what is so young that a list may still be read at its revision.
func TestSizeIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 256 << 10
		r, j := over(t, memory.New(), Keep{Size: size})
		defer running(t, j)()
		scribble(t, r, 100, 1000)
		for range 3 {
			list, err := r.List(t.Context(), api.Target{Kind: api.ConfigMapKind}, api.ListOptions{Limit: 3})
			if err != nil {
				t.Fatal(err)
			}
			scribble(t, r, 1000, 1000)
			time.Sleep(58 * time.Second)
			if _, err := r.List(t.Context(), api.Target{Kind: api.ConfigMapKind}, api.ListOptions{Limit: 3, Continue: list.Continue}); err != nil {
				t.Errorf("a list under way: %v", err)
			}
			time.Sleep(5 * time.Second)
			if left := remembered(t, j); left > size || left < size/2 {
				t.Errorf("%d bytes are remembered; allowed are %d", left, size)
			}
		}
	})
}

// remembered counts anew what the meter has counted.
func remembered(t *testing.T, j *Journal) int64 {
	t.Helper()
	floor, now, err := j.span(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	batches, err := j.store.Watch(t.Context(), "", floor)
	if err != nil {
		t.Fatal(err)
	}
	m := meter{step: 1}
	for b, err := range batches {
		if err != nil {
			t.Fatal(err)
		}
		if m.add(b); b.Revision >= now {
			break
		}
	}
	return m.seen.bytes
}

// The file does not grow for ever, also when each process lives only for a short time.
func TestFileStaysSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 1 << 20
		path := filepath.Join(t.TempDir(), "store.db")
		round := func() int64 {
			db, err := bolt.Open(path, bolt.Options{NoSync: true})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			r, j := over(t, db, Keep{Size: size})
			defer running(t, j)()
			for range 3 {
				scribble(t, r, 50, 64<<10)
				time.Sleep(time.Minute)
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			return info.Size()
		}
		for n := range 9 { // ten megabytes each
			if now := round(); now > 32<<20 { // the bound, what is written in a minute and a half, and bbolt's habit to grow by 16 MB
				t.Errorf("after %d rounds the file has %d bytes", n+1, now)
			}
		}
	})
}
