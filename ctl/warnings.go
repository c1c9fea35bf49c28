package ctl

import (
	"fmt"
	"io"
)

// warnings prints each warning once, however many objects it came with.
type warnings struct {
	out  io.Writer
	told map[string]bool
}

func newWarnings(out io.Writer) *warnings { return &warnings{out: out, told: map[string]bool{}} }

func (w *warnings) tell(text string) {
	if !w.told[text] {
		w.told[text] = true
		fmt.Fprintln(w.out, "Warning: "+text)
	}
}

func (w *warnings) all(texts []string) {
	for _, t := range texts {
		w.tell(t)
	}
}
