package simulation

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var (
	seed  = flag.Uint64("seed", 1, "the seed of TestSeed")
	first = flag.Uint64("first", 1, "the first seed of TestSeeds")
	most  = flag.Uint64("failures", 5, "after how many failures TestSeeds ends")
	seeds = flag.Uint64("seeds", 0, "how many seeds TestSeeds lives through; 0 = 300, or 10,000 with OPTIMIST_LONG=1")
)

// One seed tells one story, to the letter, whether or not anybody listens to what the components log.
func TestASeedTellsOneStory(t *testing.T) {
	t.Setenv("OPTIMIST_DETECT_MUTATIONS", "1")
	for i := range uint64(5) {
		one, two := Run(t, Options{Seed: *first + i, Odds: Usual, Log: true}), Run(t, Options{Seed: *first + i, Odds: Usual, Log: true})
		if a, b := strings.Join(one.Story(), "\n"), strings.Join(two.Story(), "\n"); a != b {
			t.Errorf("two runs of seed %d differ:\n%s", *first+i, diff(one.Story(), two.Story()))
		}
		quiet, want := Run(t, Options{Seed: *first + i, Odds: Usual}).Story(), slices.DeleteFunc(one.Story(), func(line string) bool { return logged.MatchString(line) })
		if !slices.Equal(quiet, want) {
			t.Errorf("seed %d depends on who listens:\n%s", *first+i, diff(want, quiet))
		}
		if len(quiet) < 100 {
			t.Errorf("hardly anything happened in seed %d", *first+i)
		}
	}
}

// logged is a line of the story that a component has logged.
var logged = regexp.MustCompile(`^ *\d+ +[0-9.]+s  (· )*\S+ +msg=`)

// diff is where two stories part.
func diff(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d:\n%s\n%s", i, a[i], b[i])
		}
	}
	return fmt.Sprintf("one has %d lines, the other %d", len(a), len(b))
}

// Whatever happens, the invariants hold, and once nothing bad happens any more all is as it was asked for.
func TestSeeds(t *testing.T) {
	n := *seeds
	if n == 0 {
		if n = 300; os.Getenv("OPTIMIST_LONG") == "1" {
			n = 10_000
		}
	}
	began := time.Now()
	var next, failed atomic.Uint64
	t.Run("workers", func(t *testing.T) {
		for worker := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				for i := next.Add(1); i <= n && failed.Load() < *most; i = next.Add(1) {
					if w := Run(t, Options{Seed: *first + i - 1, Odds: Usual}); w.Failed != "" {
						failed.Add(1)
						t.Errorf("%s", w.Report())
					}
				}
			})
		}
	})
	t.Logf("%d seeds in %v: %.0f a minute", n, time.Since(began).Round(time.Second), float64(n)/time.Since(began).Minutes())
}

func TestSeed(t *testing.T) {
	w := Run(t, Options{Seed: *seed, Odds: Usual, Log: testing.Verbose()})
	if testing.Verbose() {
		fmt.Println(strings.Join(w.Story(), "\n"))
	}
	if w.Failed != "" {
		t.Error(w.Failed)
	}
}
