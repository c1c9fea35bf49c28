package durability

import (
	"fmt"
	"slices"
	"sync"

	"optimist/internal/api"
)

// verdict is what a writer was answered.
type verdict string

const (
	done    verdict = "acknowledged"
	refused verdict = "refused"
	unsure  verdict = "ambiguous"
)

// attempt is one write: a text of its own under a name, or "" for a deletion.
type attempt struct {
	name, text string
	verdict    verdict
	revision   api.Revision // if acknowledged
}

// told is what a revision was about.
type told struct{ name, text string }

// state is what a name has last become; the revision is 0 for a deletion of which no watcher has told yet.
type state struct {
	text     string
	revision api.Revision
}

// logbook knows what every writer was answered, and what every revision was about. Each name has one writer.
type logbook struct {
	mu      sync.Mutex
	history map[api.Revision]told // all that happened, as far as anybody was told
	fresh   []api.Revision        // of history, since the last round
	newest  api.Revision          // that anybody was told
	latest  map[string]state      // by name
	doubts  map[string]attempt    // by name: the write after the latest, which may have happened
	never   map[string]verdict    // texts that nobody may ever see
	count   map[verdict]int
}

func newLogbook() *logbook {
	return &logbook{history: map[api.Revision]told{}, latest: map[string]state{}, doubts: map[string]attempt{},
		never: map[string]verdict{}, count: map[verdict]int{}}
}

// enter notes an answer.
func (l *logbook) enter(a attempt) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count[a.verdict]++
	switch {
	case a.verdict == done:
		return l.happened(a.revision, told{a.name, a.text})
	case a.verdict == unsure:
		l.doubts[a.name] = a
	case a.text != "":
		l.never[a.text] = refused
	}
	return nil
}

// saw notes what a watcher was told.
func (l *logbook) saw(r api.Revision, what told) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.happened(r, what)
}

// happened notes what a revision was about. It can be about one thing only.
func (l *logbook) happened(r api.Revision, what told) error {
	if v, bad := l.never[what.text]; bad {
		return fmt.Errorf("revision %d wrote %q over %s, which was %s", r, what.text, what.name, v)
	}
	before, known := l.history[r]
	if known && before != what {
		return fmt.Errorf("revision %d wrote %q over %s, and now it wrote %q over %s", r, before.text, before.name, what.text, what.name)
	}
	if !known {
		l.history[r] = what
		l.fresh = append(l.fresh, r)
	}
	if r > l.latest[what.name].revision {
		l.latest[what.name] = state{what.text, r}
	}
	l.newest = max(l.newest, r)
	return nil
}

// settle compares the logbook with all that there is after a restart, and ends all doubts.
func (l *logbook) settle(at api.Revision, have map[string]state) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at < l.newest {
		return fmt.Errorf("the server is at revision %d, but has been at %d", at, l.newest)
	}
	for name := range have {
		if _, known := l.latest[name]; !known {
			l.latest[name] = state{} // then a doubt must explain it
		}
	}
	for name, want := range l.latest {
		if err := l.settleOne(name, want, have[name]); err != nil {
			return err
		}
	}
	clear(l.doubts)
	l.newest = max(l.newest, at)
	return nil
}

func (l *logbook) settleOne(name string, want, got state) error {
	doubt, doubtful := l.doubts[name]
	switch {
	case got == want, got.text == "" && want.text == "":
		if doubtful && doubt.text != "" && doubt.text != got.text {
			l.never[doubt.text] = unsure
		}
		return nil
	case doubtful && got.text == doubt.text && got.text == "":
		l.latest[name] = state{}
		return nil
	case doubtful && got.text == doubt.text:
		return l.happened(got.revision, told{name, got.text})
	}
	return fmt.Errorf("%s must be %q of revision %d, and is %q of revision %d (in doubt: %q)", name, want.text, want.revision, got.text, got.revision, doubt.text)
}

// round takes the revisions of which was learnt since the last round, in order. By then watchers have told of all of them.
func (l *logbook) round() ([]api.Revision, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, s := range l.latest {
		if s.revision == 0 && len(l.fresh) > 0 {
			return nil, fmt.Errorf("%s was deleted, and no watcher was told", name)
		}
	}
	fresh := l.fresh
	l.fresh = nil
	slices.Sort(fresh)
	return fresh, nil
}

func (l *logbook) latestOf(name string) state {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest[name]
}
