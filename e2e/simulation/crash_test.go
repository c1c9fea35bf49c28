package simulation

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"optimist/controllers"
	"optimist/internal/informer"
	"optimist/internal/reconcile"
)

// Whoever is killed at whichever of its writes, before it left or after it was done: another copy, or the next life, brings the cluster to the
// same end, act by act. `go test` without OPTIMIST_LONG=1 tries a share of the writes.
func TestCrashAtEveryWrite(t *testing.T) {
	undisturbed := Crash{}.Live(t)
	if undisturbed.Failed != "" {
		t.Fatalf("%s\n%s", undisturbed.Failed, undisturbed.World.Report())
	}
	roles := []string{"scheduler", "node"}
	set := informer.NewSet(nil)
	for _, c := range controllers.All(func(string) reconcile.Deps { return reconcile.Deps{Set: set} }) {
		roles = append(roles, c.Name)
	}
	for _, role := range roles {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			for _, sent := range []bool{false, true} {
				crashes(t, role, sent, undisturbed.End)
			}
		})
	}
}

func crashes(t *testing.T, role string, sent bool, want string) {
	stride := 7
	if os.Getenv("OPTIMIST_LONG") == "1" {
		stride = 1
	}
	last, tried := 0, 0
	for k := 1; ; k += stride {
		o := Crash{Role: role, K: k, Sent: sent}.Live(t)
		if !o.Died {
			break
		}
		last, tried = k, tried+1
		switch {
		case o.Failed != "":
			t.Errorf("killed at write %d, sent %t: %s\n%s", k, sent, o.Failed, tail(o.World))
		case o.End != want:
			t.Errorf("killed at write %d, sent %t: it ended otherwise:\n%s", k, sent, where(want, o.End))
		}
	}
	t.Logf("%-16s sent %-5t %3d lives, the last killed at write %d", role, sent, tried, last)
	if last == 0 {
		t.Errorf("%s writes nothing in the whole scenario", role)
	}
}

func tail(w *World) string {
	story := w.Story()
	return fmt.Sprint(story[max(0, len(story)-20):])
}

// where is the first act in which two ends differ.
func where(want, have string) string {
	return diff(strings.Split(want, "\n"), strings.Split(have, "\n"))
}
