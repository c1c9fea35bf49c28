//go:build linux

package proxy

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkServices programs 10,000 Services of two endpoints from nothing, then changes one of them: an endpoint goes, or comes back, or is
// replaced. Planning counts, the API server's news do not.
func BenchmarkServices(b *testing.B) {
	if os.Getuid() != 0 {
		b.Skip("NOT MEASURED: nft tables need root")
	}
	runtime.LockOSThread()
	check(b, unix.Unshare(unix.CLONE_NEWNET))
	var first, one, endpoint, look, again []float64
	step := func(c *cluster) float64 {
		from := time.Now()
		check(b, c.proxy.Step())
		return time.Since(from).Seconds() * 1000
	}
	for range b.N {
		nft := NewNFT("bench", "n1", ranges)
		c := newCluster(nft, "n1")
		for i := range 10_000 {
			name := fmt.Sprint("s", i)
			c.put(service(name, fmt.Sprintf("{spec: {clusterIP: 10.96.%d.%d, ports: [{name: t, port: 80, protocol: TCP}]}}", 1+i/250, 1+i%250)), backends(name, "a b"))
		}
		first = append(first, step(c))
		for i := range 50 {
			c.put(backends(fmt.Sprint("s", i*100), []string{"a", "a b"}[i/25]))
			one = append(one, step(c))
			c.put(backends(fmt.Sprint("s", 5000+i*100), []string{"a c", "b c"}[i/25]))
			endpoint = append(endpoint, step(c))
		}
		for _, all := range []*[]float64{&look, &again} {
			from := time.Now()
			if ok, err := nft.Intact(c.proxy.book.programmed); !ok || err != nil {
				b.Fatal(ok, err)
			}
			*all = append(*all, time.Since(from).Seconds()*1000)
		}
		check(b, nft.Remove())
	}
	for name, all := range map[string][]float64{"first": first, "change": one, "endpoint": endpoint, "look": look, "look-again": again} {
		slices.Sort(all)
		b.ReportMetric(all[len(all)/2], "ms/"+name)
		b.ReportMetric(all[len(all)-1], "ms/"+name+"-worst")
	}
}
