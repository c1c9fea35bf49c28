package doctor

import (
	"fmt"
	"io"
	"strings"
)

// State is how bad a Finding is.
type State int

const (
	OK   State = iota
	Warn       // it works, but something may surprise
	Bad        // it does not work
)

// Finding is what one check saw.
type Finding struct {
	State State
	Name  string // of what was looked at
	Says  string // what is so
	Mend  string // what to do; empty if OK
}

// Print writes findings one a line, each with what to do below, and returns how many are Bad.
func Print(out io.Writer, findings []Finding) (bad int) {
	for _, f := range findings {
		fmt.Fprintf(out, " %s %-10s %s\n", [...]string{"✓", "!", "✗"}[f.State], f.Name, f.Says)
		for line := range strings.Lines(f.Mend) {
			fmt.Fprintf(out, "   %-10s → %s\n", "", strings.TrimSuffix(line, "\n"))
		}
		if f.State == Bad {
			bad++
		}
	}
	return bad
}
