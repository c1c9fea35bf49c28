package memory_test

import (
	"testing"
	"testing/synctest"
	"time"

	"optimist/apiserver/store"
	"optimist/apiserver/store/memory"
	"optimist/apiserver/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(testing.TB) store.Store { return memory.New() })
}

// A waiting watch must not keep a bubble's clock from moving.
func TestInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		go func() {
			time.Sleep(time.Hour)
			s.Commit(t.Context(), store.Txn{Do: []store.Op{{Key: "/a", Value: []byte("1")}}})
		}()
		seq, err := s.Watch(t.Context(), "", 0)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for b, err := range seq {
			if err != nil || b.Revision != 1 || time.Since(start) != time.Hour {
				t.Errorf("got %+v, %v after %v", b, err, time.Since(start))
			}
			break
		}
	})
}
