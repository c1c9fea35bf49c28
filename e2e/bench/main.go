//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// plan is how much is measured.
type plan struct {
	writes  int // of each round
	rounds  int
	starts  int // clusters
	pairs   int // of pods
	seconds int // of idling
}

var (
	long  = plan{writes: 10_000, rounds: 5, starts: 5, pairs: 20, seconds: 60}
	short = plan{writes: 1_000, rounds: 2, starts: 1, pairs: 4, seconds: 5}
)

// sections in the order of the table.
var sections = []struct {
	name    string
	measure func(context.Context, plan) ([]figure, error)
}{
	{"writes", writes},
	{"journal", journalCost},
	{"rest", rest},
	{"watch", watch},
	{"dns", names},
	{"start", start},
	{"pods", pods},
	{"services", services},
	{"through", through},
	{"nodes", upThree},
	{"idle", idle},
}

func main() {
	only := flag.String("only", "", "measure only these `sections`, comma-separated: writes, journal, rest, watch, dns, start, pods, services, through, nodes, idle")
	quick := flag.Bool("short", false, "fewer rounds: to see that it works, not to quote")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := os.Chdir(filepath.Join("e2e", "bench")); err != nil { // package real looks for bin/ from here
		fmt.Fprintln(os.Stderr, "bench: run it in the checkout's root, as make bench does:", err)
		os.Exit(1)
	}
	p := long
	if *quick {
		p = short
	}
	var wanted []string
	if *only != "" {
		wanted = strings.Split(*only, ",")
	}
	fmt.Print(run(ctx, p, wanted))
}

// run measures the sections that are wanted (none named: all). One that cannot be measured is a row that says why.
func run(ctx context.Context, p plan, wanted []string) table {
	var t table
	for _, s := range sections {
		if ctx.Err() != nil || len(wanted) > 0 && !slices.Contains(wanted, s.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, "measuring", s.name, "…")
		figures, err := s.measure(ctx, p)
		if err != nil {
			figures = append(figures, figure{name: s.name, value: "not measured: " + strings.ReplaceAll(err.Error(), "\n", " ")})
		}
		for _, f := range figures {
			if f.command == "" {
				f.command = "go run ./e2e/bench -only " + s.name
			}
			t = append(t, f)
		}
	}
	return t
}
