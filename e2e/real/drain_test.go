package real

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// A rolling update under load, with a new connection for each request: not one fails, if the program waits before it ends, by preStop or by itself.
// And connections spread evenly.
func TestDraining(t *testing.T) {
	c := up(t, "--nodes", "3")
	c.must(t, "apply", "-f", three, "-f", "testdata/drain.yaml")
	span := 20 * time.Second
	if os.Getenv("OPTIMIST_LONG") != "" {
		span = time.Minute
	}
	for _, d := range []string{"three", "paused", "draining"} {
		c.must(t, "rollout", "status", "deployment/"+d, "--timeout=60s")
	}
	askers := c.pods(t, "app=three")
	for _, service := range []string{"three", "paused", "draining"} {
		eventually(t, 20*time.Second, func() (bool, string) {
			out, err := c.asks(t, askers[0], "-timeout", "1s", service)
			return err == nil, out
		})
	}

	out, err := c.asks(t, askers[0], "-count", "3000", "three")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(out) {
		n, _ := strconv.Atoi(strings.Fields(line)[0])
		if n < 900 || n > 1100 {
			t.Errorf("of 3,000 connections one pod had %d, more than a tenth off:\n%s", n, out)
		}
	}

	for _, d := range []string{"paused", "draining"} {
		t.Run(d, func(t *testing.T) {
			var g errgroup.Group
			said := make([]string, len(askers))
			for i, p := range askers {
				g.Go(func() (err error) {
					said[i], err = c.asks(t, p, "-for", span.String(), "-timeout", "3s", d)
					return err
				})
			}
			c.must(t, "set", "image", "deployment/"+d, "web=optimist/web:2")
			c.must(t, "rollout", "status", "deployment/"+d, "--timeout=120s")
			if err := g.Wait(); err != nil {
				t.Errorf("requests failed: %v\n%s", err, strings.Join(said, "\n"))
			}
			total := 0
			for line := range strings.Lines(strings.Join(said, "")) {
				n, _ := strconv.Atoi(strings.Fields(line)[0])
				total += n
			}
			for _, version := range []string{"version=1", "version=2"} {
				if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, version) }) {
					t.Errorf("nobody saw %s: the load did not span the update", version)
				}
			}
			t.Logf("%d requests from %d nodes, none failed", total, len(askers))
		})
	}
}
