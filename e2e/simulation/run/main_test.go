package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"optimist/e2e/simulation"
)

// TestMain is the command itself for a child of TestTheCommandTellsWhatTheTestsSee.
func TestMain(m *testing.M) {
	if os.Getenv("OPTIMIST_BE_RUN") == "1" {
		main()
	}
	os.Exit(m.Run())
}

// The command tells of a seed what the tests see of it, line by line, and says whether it went well.
func TestTheCommandTellsWhatTheTestsSee(t *testing.T) {
	for seed, args := range map[uint64][]string{7297: {"-seed", "7297", "-v"}, 7302: {"-seed", "7302", "-v"}} {
		cmd := exec.Command(os.Args[0], args...)
		cmd.Env = append(os.Environ(), "OPTIMIST_BE_RUN=1")
		out, err := cmd.CombinedOutput()
		w := simulation.Run(t, simulation.Options{Seed: seed, Odds: simulation.Usual, Log: true})
		want, verdict := strings.Join(w.Story(), "\n")+"\n", "1 seeds, 0 with a violation\n"
		if w.Failed != "" {
			want, verdict = want+w.Report()+"\n", "1 seeds, 1 with a violation\n"
		}
		if (err != nil) != (w.Failed != "") || string(out) != want+verdict {
			t.Errorf("seed %d: %v; the command has %d bytes, the test %d, and ends with\n%s", seed, err, len(out), len(want+verdict), out[max(0, len(out)-300):])
		}
	}
}
