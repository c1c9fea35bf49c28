// Command run lives through one seed of the simulation, or several, and tells what happened.
//
//	go run ./e2e/simulation/run -seed 42 -v
//	go run ./e2e/simulation/run -seed 1000000 -n 1000
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"optimist/e2e/simulation"
)

func main() {
	seed := flag.Uint64("seed", 1, "the first seed")
	n := flag.Uint64("n", 1, "how many seeds")
	steps := flag.Int("steps", 0, "how much happens in each; 0 = 800")
	verbose := flag.Bool("v", false, "print the whole story, with what the components log")
	flag.Parse()
	failed := 0
	// A bubble, with its own clock, belongs to a test; and tests run only in a main of theirs: RunTests alone runs none, and says that all is well.
	testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "seeds", F: func(t *testing.T) {
		for i := range *n {
			w := simulation.Run(t, simulation.Options{Seed: *seed + i, Steps: *steps, Odds: simulation.Usual, Log: *verbose})
			if *verbose {
				fmt.Println(strings.Join(w.Story(), "\n"))
			}
			if w.Failed != "" {
				fmt.Println(w.Report())
				failed++
			}
		}
		fmt.Printf("%d seeds, %d with a violation\n", *n, failed)
		os.Exit(min(failed, 1))
	}}}, nil, nil)
}
