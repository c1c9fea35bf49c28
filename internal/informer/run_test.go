package informer

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
)

// scripted is a server whose watches say what the test makes them say.
type scripted struct {
	api.Service
	now    api.Revision
	opened []api.WatchOptions
	at     []time.Time
	say    chan any // []api.Event, or an error that ends the watch
}

func (s *scripted) Watch(ctx context.Context, _ api.Target, o api.WatchOptions) (iter.Seq2[[]api.Event, error], error) {
	s.opened, s.at = append(s.opened, o), append(s.at, time.Now())
	return func(yield func([]api.Event, error) bool) {
		for {
			select {
			case said := <-s.say:
				if err, ok := said.(error); ok {
					yield(nil, err)
					return
				}
				if !yield(said.([]api.Event), nil) {
					return
				}
			case <-ctx.Done():
				yield(nil, ctx.Err())
				return
			}
		}
	}, nil
}

func (s *scripted) Now(context.Context) (api.Revision, error) { return s.now, nil }

func (s *scripted) Write(context.Context, api.Request) (api.Result, error) {
	return api.Result{}, errors.New("connection reset")
}

func (s *scripted) tell(said any) {
	s.say <- said
	synctest.Wait()
}

func listed(at api.Revision, names ...string) []api.Event {
	var events []api.Event
	for i, name := range names {
		o := configMap(name)
		o.ResourceVersion = api.Revision(i + 1).String()
		events = append(events, api.Event{Type: api.Added, Object: o, Revision: at})
	}
	return append(events, api.Event{Type: api.Bookmark, Revision: at, InitialEnd: true})
}

// running runs a set of ConfigMaps against a scripted server.
func running(t *testing.T, story func(t *testing.T, s *scripted, set *Set, reader Reader[*corev1.ConfigMap])) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{say: make(chan any)}
		set := NewSet(s)
		set.Log = slog.New(slog.DiscardHandler)
		reader := Watch(set, api.ConfigMaps, Options[*corev1.ConfigMap]{})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- set.Run(ctx) }()
		synctest.Wait()
		story(t, s, set, reader)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func names(r Reader[*corev1.ConfigMap]) (all []string) {
	for o := range r.List("", nil) {
		all = append(all, o.Name)
	}
	return all
}

func TestABrokenWatchGoesOnWhereItStood(t *testing.T) {
	running(t, func(t *testing.T, s *scripted, set *Set, r Reader[*corev1.ConfigMap]) {
		s.tell(listed(5, "a", "b"))
		s.tell(errors.New("broken pipe"))
		time.Sleep(firstPause)
		synctest.Wait()
		if len(s.opened) != 2 || !s.opened[0].Initial || s.opened[1].Initial || s.opened[1].After != 5 {
			t.Fatalf("%+v", s.opened)
		}
		if got := names(r); !slices.Equal(got, []string{"a", "b"}) {
			t.Fatal(got)
		}
	})
}

func TestAfterCompactionItListsAgainAndNoticesWhatIsGone(t *testing.T) {
	var deleted []string
	running(t, func(t *testing.T, s *scripted, set *Set, r Reader[*corev1.ConfigMap]) {
		set.Listen(api.ConfigMapKind, func(ch Change) {
			if ch.After == nil {
				deleted = append(deleted, ch.Before.GetName())
			}
		})
		s.tell(listed(5, "a", "b"))
		s.tell(apierrors.NewResourceExpired("too old"))
		time.Sleep(firstPause)
		synctest.Wait()
		if len(s.opened) != 2 || !s.opened[1].Initial || s.opened[1].NotOlderThan != 5 {
			t.Fatalf("it should list again, not older than 5: %+v", s.opened)
		}
		s.tell(listed(9, "a"))
		if got := names(r); !slices.Equal(got, []string{"a"}) || !slices.Equal(deleted, []string{"b"}) {
			t.Fatal(got, deleted)
		}
	})
}

func TestListsThatExpireAtOnceDoNotSpin(t *testing.T) {
	running(t, func(t *testing.T, s *scripted, set *Set, r Reader[*corev1.ConfigMap]) {
		for range 3 {
			s.tell(listed(5, "a"))
			s.tell(apierrors.NewResourceExpired("the cache has begun anew"))
			time.Sleep(firstPause)
			synctest.Wait()
		}
		for i := 1; i < len(s.at); i++ {
			if pause := s.at[i].Sub(s.at[i-1]); pause < firstPause {
				t.Errorf("watch %d began %v after the one before", i, pause)
			}
		}
	})
}

func TestPausesGrowUntilSomethingIsTold(t *testing.T) {
	running(t, func(t *testing.T, s *scripted, set *Set, r Reader[*corev1.ConfigMap]) {
		var pauses []time.Duration
		hangUp := func() {
			s.tell(errors.New("connection refused"))
			began := time.Now()
			time.Sleep(maxPause)
			synctest.Wait()
			pauses = append(pauses, s.at[len(s.at)-1].Sub(began))
		}
		for range 10 {
			hangUp()
		}
		if !slices.IsSorted(pauses) || pauses[0] != firstPause || pauses[9] != maxPause {
			t.Fatal("the pauses should grow from the first to the longest:", pauses)
		}
		s.tell(listed(5))
		if hangUp(); pauses[10] != firstPause {
			t.Fatal("the server had spoken, so the pause should be the first again:", pauses[10])
		}
	})
}

func TestSettleWaitsForWhatMayHaveBeenWritten(t *testing.T) {
	running(t, func(t *testing.T, s *scripted, set *Set, r Reader[*corev1.ConfigMap]) {
		s.tell(listed(5))
		if err := set.Settle(t.Context()); err != nil || set.Unsure() {
			t.Fatal("nothing was written, yet the set is unsure:", err)
		}
		if _, err := api.ConfigMaps.Create(t.Context(), set.Over(s), configMap("a")); err == nil || !set.Unsure() {
			t.Fatal("the answer was lost, yet the set is sure")
		}
		s.now = 7
		settled := make(chan error, 1)
		go func() { settled <- set.Settle(t.Context()) }()
		s.tell([]api.Event{{Type: api.Bookmark, Revision: 6}})
		select {
		case <-settled:
			t.Fatal("settled at 6, though the server is at 7")
		default:
		}
		a := configMap("a")
		a.ResourceVersion = "7"
		s.tell([]api.Event{{Type: api.Added, Object: a, Revision: 7}})
		if err := <-settled; err != nil || set.Unsure() || len(names(r)) != 1 {
			t.Fatal("settled without the write:", err, names(r))
		}
	})
}

func TestForgettingToCopyIsFound(t *testing.T) {
	t.Setenv("OPTIMIST_DETECT_MUTATIONS", "1")
	set := NewSet(nil)
	r := Watch(set, api.ConfigMaps, Options[*corev1.ConfigMap]{})
	set.Open(api.ConfigMapKind)
	set.Deliver(api.ConfigMapKind, listed(5, "a"))
	o, _ := r.Get(api.KeyOf(configMap("a")))
	o.Labels = map[string]string{"changed": "in place"}
	defer func() {
		if recover() == nil {
			t.Error("nobody noticed")
		}
	}()
	r.Get(api.KeyOf(o))
}
