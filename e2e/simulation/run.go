package simulation

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Run lives through a seed's history. It needs a test for the bubble in which it has a clock of its own; whether it went well stands in Failed.
func Run(t *testing.T, o Options) (w *World) {
	synctest.Test(t, func(t *testing.T) {
		var err error
		if w, err = newWorld(o); err != nil {
			t.Fatal(err)
		}
		defer w.close()
		w.warmUp()
		w.vary()
		w.lively = true
		for w.steps < w.Steps && w.Failed == "" {
			w.happen()
		}
		w.settle()
	})
	return w
}

func (w *World) close() {
	for _, l := range w.lives() {
		l.end()
	}
	for _, p := range w.processes {
		if p.term != nil {
			p.term.end()
		}
	}
	_ = w.store.Close()
}

// warmUp lets most worlds come up undisturbed, so that their story is about more than that.
func (w *World) warmUp() {
	if w.dice.IntN(4) == 0 {
		return
	}
	for range 3 {
		w.pass(time.Second)
		w.everybody()
	}
	w.acting(&frame{who: "user", role: "user"}, func() {
		w.togglesNamespace()
		w.deploys()
		w.deploys()
	})
}

// Report is what to know about a violation: how it came, and how to see it again.
func (w *World) Report() string {
	story := w.Story()
	return fmt.Sprintf("seed %d: %s\n%s\nto see all of it: go run ./e2e/simulation/run -seed %d -v", w.Seed, w.Failed, strings.Join(story[max(0, len(story)-40):], "\n"), w.Seed)
}
