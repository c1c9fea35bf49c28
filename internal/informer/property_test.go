package informer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"optimist/internal/api"
)

// model is a server's ConfigMaps with their whole history, and how far one watch has told it.
type model struct {
	api.Service // only Write and Now are asked for
	history     []api.Event
	live        map[string]*corev1.ConfigMap
	revision    api.Revision
	lose        bool // the next write is done, but its answer is lost
}

func (m *model) Now(context.Context) (api.Revision, error) { return m.revision, nil }

func (m *model) Write(_ context.Context, r api.Request) (api.Result, error) {
	m.revision++
	old := m.live[r.Key.Name]
	result := api.Result{Revision: m.revision}
	switch {
	case r.Verb == api.VerbDelete && old == nil:
		m.revision--
		return api.Result{}, api.ConfigMapKind.NotFound(r.Key.Name)
	case r.Verb == api.VerbDelete:
		delete(m.live, r.Key.Name)
		m.history = append(m.history, api.Event{Type: api.Deleted, Object: old, Revision: m.revision})
	default:
		o := r.Body.(*corev1.ConfigMap)
		o.ResourceVersion = m.revision.String()
		event := api.Event{Type: api.Modified, Object: o, Revision: m.revision}
		if o.UID = types.UID(m.revision.String()); old != nil {
			o.UID = old.UID
		} else {
			event.Type = api.Added
		}
		m.live[o.Name] = o
		m.history = append(m.history, event)
		result.Object = o
	}
	if m.lose {
		m.lose = false
		return api.Result{}, errors.New("connection reset")
	}
	return result, nil
}

// late does writes at once but keeps back what Over makes of the answers.
type late struct {
	api.Service
	answers *[]func()
}

func (l late) Write(ctx context.Context, r api.Request) (api.Result, error) {
	o := l.Service.(over)
	result, err := o.Service.Write(ctx, r)
	if err == nil {
		*l.answers = append(*l.answers, func() { o.set.lay(r, result) })
	}
	return result, err
}

// stream is one open watch on the model.
type stream struct {
	queue []api.Event
	told  int // of the history
}

func (m *model) watch(o api.WatchOptions) *stream {
	s := &stream{}
	if o.Initial {
		for _, name := range slices.Sorted(maps.Keys(m.live)) {
			s.queue = append(s.queue, api.Event{Type: api.Added, Object: m.live[name], Revision: m.revision})
		}
		s.queue = append(s.queue, api.Event{Type: api.Bookmark, Revision: m.revision, InitialEnd: true})
		o.After = m.revision
	}
	s.told = slices.IndexFunc(m.history, func(e api.Event) bool { return e.Revision > o.After })
	if s.told < 0 {
		s.told = len(m.history)
	}
	return s
}

func (m *model) next(s *stream) (api.Event, bool) {
	if len(s.queue) == 0 && s.told < len(m.history) {
		s.queue = append(s.queue, m.history[s.told])
		s.told++
	}
	if len(s.queue) == 0 {
		return api.Event{}, false
	}
	e := s.queue[0]
	s.queue = s.queue[1:]
	return e, true
}

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
}

// Whatever happens in whatever order (others' writes, our own, lost answers, broken watches, compaction, late delivery), the cache never goes
// back, always holds our own writes, tells listeners a gapless story, and in the end equals the server.
func TestCacheFollowsTheServer(t *testing.T) {
	t.Setenv("OPTIMIST_DETECT_MUTATIONS", "1")
	rapid.Check(t, func(t *rapid.T) {
		m := &model{live: map[string]*corev1.ConfigMap{}}
		set := NewSet(m)
		reader := Watch(set, api.ConfigMaps, Options[*corev1.ConfigMap]{})
		own := set.Over(m)
		story := map[api.Key]api.Object{}
		newest := map[api.Key]api.Revision{}
		set.Listen(api.ConfigMapKind, func(ch Change) {
			o := ch.After
			if o == nil {
				o = ch.Before
			}
			key := api.KeyOf(o)
			if story[key] != ch.Before {
				t.Fatalf("%s: told a change from %v, but had told %v", key, ch.Before, story[key])
			}
			if ch.Revision < newest[key] {
				t.Fatalf("%s went back from revision %d to %d", key, newest[key], ch.Revision)
			}
			story[key], newest[key] = ch.After, ch.Revision
		})
		var answers []func()
		watch := m.watch(set.Open(api.ConfigMapKind))
		write := func(svc api.Service) (string, error) {
			name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
			verb := rapid.SampledFrom([]api.Verb{api.VerbUpdate, api.VerbDelete}).Draw(t, "verb")
			r := api.ConfigMaps.Request(verb, api.KeyOf(configMap(name)), "", nil)
			if verb == api.VerbUpdate {
				r.Body = configMap(name)
			}
			_, err := svc.Write(t.Context(), r)
			return name, err
		}
		t.Repeat(map[string]func(*rapid.T){
			"another writes": func(t *rapid.T) { write(m) },
			"we write": func(t *rapid.T) {
				name, err := write(own)
				if apierrors.IsNotFound(err) {
					return
				}
				if len(answers) > 0 {
					return // another write of ours may be ahead of this one
				}
				got, _ := reader.Get(api.KeyOf(configMap(name)))
				if got != m.live[name] {
					t.Fatalf("after our own write the cache holds %v, the server %v", got, m.live[name])
				}
			},
			"an answer is lost": func(t *rapid.T) {
				m.lose = true
				if _, err := write(own); err == nil || m.lose {
					m.lose = false
				} else if !set.Unsure() {
					t.Fatal("the outcome is unknown, but the set is sure")
				}
			},
			"we write, and the answer comes late": func(t *rapid.T) {
				write(late{own, &answers})
			},
			"a late answer comes": func(t *rapid.T) {
				if len(answers) > 0 {
					answers[0]()
					answers = answers[1:]
				}
			},
			"the watch tells": func(t *rapid.T) {
				if e, ok := m.next(watch); ok {
					set.Deliver(api.ConfigMapKind, []api.Event{e})
				}
			},
			"the watch breaks": func(t *rapid.T) {
				err := errors.New("broken pipe")
				if rapid.Bool().Draw(t, "compacted") {
					err = apierrors.NewResourceExpired("compacted")
				}
				set.Lost(api.ConfigMapKind, err)
				watch = m.watch(set.Open(api.ConfigMapKind))
			},
		})
		for _, answer := range answers {
			answer()
		}
		for e, ok := m.next(watch); ok; e, ok = m.next(watch) {
			set.Deliver(api.ConfigMapKind, []api.Event{e})
		}
		set.Deliver(api.ConfigMapKind, []api.Event{{Type: api.Bookmark, Revision: m.revision}})
		if err := set.Settle(t.Context()); err != nil || set.Unsure() {
			t.Fatal("everything was told, but the set is not settled:", err)
		}
		var got, want []string
		for o := range reader.List("default", nil) {
			got = append(got, fmt.Sprintf("%s@%s", o.Name, o.ResourceVersion))
		}
		for _, name := range slices.Sorted(maps.Keys(m.live)) {
			want = append(want, fmt.Sprintf("%s@%s", name, m.live[name].ResourceVersion))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("the cache ended as %v, the server as %v", got, want)
		}
		if n := len(set.cache(api.ConfigMapKind).entries); n != len(want) {
			t.Fatalf("%d entries for %d objects: a tombstone was not buried", n, len(want))
		}
	})
}
