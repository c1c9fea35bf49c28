package bolt

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"optimist/apiserver/store"
)

// BenchmarkCommit writes values of 1 KB to 10,000 keys, synced. syncs/op is the cost of a write in bare synced writes of one page.
func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			folder := b.TempDir()
			bare := bareSync(b, folder)
			db, err := Open(filepath.Join(folder, "store.db"), Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			b.ResetTimer()
			writeAll(b, db, writers)
			b.StopTimer()
			each := b.Elapsed() / time.Duration(b.N)
			b.ReportMetric(float64(time.Second)/float64(each), "writes/s")
			b.ReportMetric(float64(each)/float64(bare), "syncs/op")
		})
	}
}

func writeAll(b *testing.B, db *DB, writers int) {
	var left atomic.Int64
	left.Store(int64(b.N))
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				key := fmt.Sprintf("/core/pods/default/web-%05d", rand.IntN(10_000))
				if _, err := db.Commit(b.Context(), store.Txn{Do: []store.Op{{Key: key, Value: make([]byte, 1024)}}}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// bareSync is what one synced write of a page costs on this disk.
func bareSync(b *testing.B, folder string) time.Duration {
	f, err := os.Create(filepath.Join(folder, "bare"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	const writes = 200
	page := make([]byte, 4096)
	start := time.Now()
	for range writes {
		if _, err := f.WriteAt(page, 0); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(start) / writes
}
