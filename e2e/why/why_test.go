package why

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// seed is of this run: OPTIMIST_SEED repeats one.
func seed(t *testing.T) uint64 {
	s := uint64(time.Now().UnixNano())
	if text := os.Getenv("OPTIMIST_SEED"); text != "" {
		var err error
		if s, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal("OPTIMIST_SEED:", err)
		}
	}
	t.Logf("OPTIMIST_SEED=%d", s)
	return s
}

func TestWhy(t *testing.T) {
	t.Setenv("HOME", t.TempDir()) // no kubeconfig but the cluster's own
	t.Setenv("KUBECONFIG", "")
	s := seed(t)
	for _, situation := range situations {
		t.Run(situation.name, func(t *testing.T) {
			t.Run("broken", func(t *testing.T) { in(t, s, func(w *world) { broken(w, situation) }) })
			t.Run("healthy", func(t *testing.T) { in(t, s, func(w *world) { healthy(w, situation) }) })
		})
	}
}

// broken makes the situation, demands that the first cause that is named is the true one, does what is printed, and demands that all is well.
func broken(w *world, s situation) {
	about, facts := s.make(w, true)
	out := cause(w, about)
	says, _ := commands(out)
	for _, fact := range append(facts, s.says) {
		if !strings.Contains(out, fact) {
			w.Errorf("it does not say %q", fact)
		}
	}
	if len(says) == 0 {
		w.Errorf("it proposes nothing")
	}
	w.Logf("%s", out)
	if w.Failed() {
		return
	}
	for _, line := range says {
		w.shell(line)
	}
	if s.gone {
		until(w, "NotFound", about)
		return
	}
	w.until("is well", about)
}

// cause asks every second until there is one.
func cause(w *world, about string) string {
	w.Helper()
	var out string
	for began := time.Now(); time.Since(began) < patience; time.Sleep(time.Second) {
		synctest.Wait()
		code, text := w.why(about)
		if out = text; code == 3 {
			return out
		}
	}
	w.Fatalf("no cause was found within %s: %s", patience, out)
	return ""
}

func until(w *world, says, about string) {
	w.Helper()
	for began := time.Now(); time.Since(began) < patience; time.Sleep(time.Second) {
		synctest.Wait()
		if _, out := w.why(about); strings.Contains(out, says) {
			return
		}
	}
	w.Fatalf("why %s does not come to say %q", about, says)
}

// commands are what is to be done, and what else could be.
func commands(out string) (try, or []string) {
	for _, m := range regexp.MustCompile(`(?m)^(Try|then|or): +(.*)$`).FindAllStringSubmatch(out, -1) {
		if m[1] == "or" {
			or = append(or, m[2])
		} else {
			try = append(try, m[2])
		}
	}
	return try, or
}

// healthy makes the same without what is wrong with it, and asks all the while: there must be no cause, not even for a moment.
func healthy(w *world, s situation) {
	about, _ := s.make(w, false)
	well := 0
	for began := time.Now(); time.Since(began) < 3*time.Minute; time.Sleep(time.Second) {
		synctest.Wait()
		code, out := w.why(about)
		switch {
		case s.gone && strings.Contains(out, "NotFound"):
			return
		case code != 0:
			w.Fatalf("after %s: exit code %d\n%s", time.Since(began), code, out)
		case strings.Contains(out, "is well"):
			well++
		}
	}
	if well < 60 || s.gone {
		w.Errorf("it was well for %d seconds only", well)
	}
}
