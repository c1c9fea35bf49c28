//go:build unix

package leaders

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"optimist/apiserver/store"
	"optimist/controllers"
	"optimist/internal/api"
	wire "optimist/proto"
	"optimist/scheduler"
)

// ledger is a store that remembers which transactions went through, and under which epoch of which lease.
type ledger struct {
	store.Store
	mu      sync.Mutex
	holders []holder // of the leases, in the order of time
	writes  []written
}

type holder struct {
	lease, name string
	since       store.Revision // 0 of the Mod that fences name
}

type written struct {
	at          store.Revision
	user, what  string
	lease       string // "" = no fence
	fence       store.Revision
	eventOrBeat bool
}

const epochs = "/~epochs/kube-system/"

func (l *ledger) Commit(ctx context.Context, txn store.Txn) (store.Revision, error) {
	at, err := l.Store.Commit(ctx, txn)
	if err != nil {
		return at, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, op := range txn.Do {
		if lease, ok := strings.CutPrefix(op.Key, epochs); ok {
			var e struct{ Holder string }
			if json.Unmarshal(op.Value, &e) == nil {
				l.holders = append(l.holders, holder{lease, e.Holder, at})
			}
		}
	}
	var note wire.Note
	if proto.Unmarshal(txn.Note, &note) != nil {
		return at, nil
	}
	kind := note.GetTarget().GetKind()
	w := written{at: at, user: note.User, eventOrBeat: kind == "Event" || kind == "Lease",
		what: fmt.Sprintf("%s %s/%s %s/%s", note.Verb, kind, note.GetTarget().GetSub(), note.GetTarget().GetNamespace(), note.GetTarget().GetName())}
	for _, g := range txn.If {
		if lease, ok := strings.CutPrefix(g.Key, epochs); ok {
			w.lease, w.fence = lease, g.Mod
		}
	}
	l.writes = append(l.writes, w)
	return at, nil
}

// leader is who holds a lease, and since when.
func (l *ledger) leader(lease string) (now holder) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.holders {
		if h.lease == lease {
			now = h
		}
	}
	return now
}

// check holds every write of a leader against the epochs: it names the one that was in force, and none is without.
func (l *ledger) check(t *testing.T) (n int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.writes {
		lease := controllers.LeaseKey.Name
		if w.user == api.UserScheduler {
			lease = scheduler.LeaseKey.Name
		} else if !strings.HasPrefix(w.user, api.ControllerPrefix) {
			continue
		}
		if w.eventOrBeat {
			continue // Events are no decisions, and a Lease guards itself
		}
		n++
		var inForce holder
		for _, h := range l.holders {
			if h.lease == lease && h.since < w.at {
				inForce = h
			}
		}
		switch {
		case w.lease != lease:
			t.Errorf("revision %d: %s by %s is not fenced by %s", w.at, w.what, w.user, lease)
		case w.fence != inForce.since:
			t.Errorf("revision %d: %s by %s is of the epoch that began at %d, but %q has led since %d", w.at, w.what, w.user, w.fence, inForce.name, inForce.since)
		}
	}
	return n
}
