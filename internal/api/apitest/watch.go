package apitest

import (
	"fmt"
	"iter"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/api"
)

// stream reads a watch event by event.
type stream struct {
	s       *suite
	next    func() ([]api.Event, error, bool)
	pending []api.Event
}

func (s *suite) watch(k *api.Kind, namespace string, o api.WatchOptions) *stream {
	s.Helper()
	batches, err := s.Watch(s.ctx, api.Target{Kind: k, Key: api.Key{Namespace: namespace}}, o)
	if err != nil {
		s.Fatal(err)
	}
	next, stop := iter.Pull2(batches)
	s.Cleanup(stop)
	return &stream{s: s, next: next}
}

func (w *stream) event() api.Event {
	w.s.Helper()
	for len(w.pending) == 0 {
		batch, err, ok := w.next()
		if err != nil || !ok {
			w.s.Fatalf("the watch has ended: %v", err)
		}
		w.pending = batch
	}
	e := w.pending[0]
	w.pending = w.pending[1:]
	return e
}

// tells checks the next events, as "ADDED a"; bookmarks count only when they end the initial ones ("READY").
func (w *stream) tells(want ...string) []api.Event {
	w.s.Helper()
	var events []api.Event
	for _, line := range want {
		e := w.event()
		for e.Type == api.Bookmark && !e.InitialEnd {
			e = w.event()
		}
		got := "READY"
		if e.Type != api.Bookmark {
			got = fmt.Sprintf("%s %s", e.Type, e.Object.GetName())
			w.s.equal("the revision of "+got, api.RevisionOf(e.Object), e.Revision)
		}
		if got != line {
			w.s.Fatalf("the watch tells %s, want %s", got, line)
		}
		events = append(events, e)
	}
	return events
}

func (s *suite) now() api.Revision {
	s.Helper()
	r, err := s.Now(s.ctx)
	if err != nil {
		s.Fatal(err)
	}
	return r
}

func watch(s *suite) {
	w := s.watch(api.ConfigMapKind, "", api.WatchOptions{After: s.now()})
	o := s.create(plainMap)
	changed := s.update(with(o, func(c *corev1.ConfigMap) { c.Data["k"] = "w" }), "")
	s.must(s.tryDelete(changed, api.Options{}))
	events := w.tells("ADDED a", "MODIFIED a", "DELETED a")
	s.equal("data added", events[0].Object.(*corev1.ConfigMap).Data["k"], "v")
	s.equal("data modified", events[1].Object.(*corev1.ConfigMap).Data["k"], "w")
	s.equal("data deleted, its last", events[2].Object.(*corev1.ConfigMap).Data["k"], "w")
	if events[2].Revision <= events[1].Revision {
		s.Errorf("deleted at %d, modified at %d", events[2].Revision, events[1].Revision)
	}
	only := s.watch(api.ConfigMapKind, "kube-system", api.WatchOptions{After: s.now(), View: api.Table})
	s.create(plainMap)
	s.create(strings.Replace(strings.Replace(plainMap, "default", "kube-system", 1), "name: a", "name: b", 1))
	if e := only.tells("ADDED b")[0]; len(e.Cells) == 0 || e.Cells[0] != "b" {
		s.Errorf("the cells are %v", e.Cells)
	}
}

func watchInitial(s *suite) {
	quiet := s.watch(api.SecretKind, "", api.WatchOptions{Initial: true})
	quiet.tells("READY")
	all := s.maps("ab")
	w := s.watch(api.ConfigMapKind, "default", api.WatchOptions{Initial: true, NotOlderThan: api.RevisionOf(all[1])})
	if e := w.tells("ADDED a", "ADDED b", "READY")[2]; e.Revision < api.RevisionOf(all[1]) {
		s.Errorf("what existed is told as of %d, which is older than %s", e.Revision, all[1].GetResourceVersion())
	}
	s.maps("c")
	w.tells("ADDED c")
	_, err := s.Watch(s.ctx, api.Target{Kind: api.ConfigMapKind}, api.WatchOptions{Initial: true, NotOlderThan: 1 << 40})
	s.fails(err, metav1.StatusReasonTimeout, "Too large resource version")
	_, err = s.Watch(s.ctx, api.Target{Kind: api.ConfigMapKind}, api.WatchOptions{Fields: fields.OneTermEqualSelector("x", "y")})
	s.fails(err, metav1.StatusReasonBadRequest, "field label not supported")
}

// To a watcher with a selector, what stops matching is deleted, and what begins to match is added.
func watchSelected(s *suite) {
	web := labels.SelectorFromSet(labels.Set{"app": "web"})
	w := s.watch(api.ConfigMapKind, "default", api.WatchOptions{After: s.now(), Selector: web})
	o := s.create(plainMap)
	label := func(value string) {
		s.must(s.tryPatch(o, types.MergePatchType, fmt.Sprintf(`{"metadata":{"labels":{"app":%q}}}`, value)))
	}
	label("db")
	label("cache")
	label("web")
	s.must(s.tryDelete(o, api.Options{}))
	events := w.tells("ADDED a", "DELETED a", "ADDED a", "DELETED a")
	s.equal("the label of what stopped matching", events[1].Object.GetLabels()["app"], "web")
	named := s.watch(api.ConfigMapKind, "default", api.WatchOptions{Initial: true, Fields: fields.OneTermEqualSelector("metadata.name", "b")})
	s.maps("abc")
	named.tells("READY", "ADDED b")
}

func watchResumes(s *suite) {
	all := s.maps("abcd")
	w := s.watch(api.ConfigMapKind, "default", api.WatchOptions{After: api.RevisionOf(all[1])})
	w.tells("ADDED c", "ADDED d")
	_, err := s.Watch(s.ctx, api.Target{Kind: api.ConfigMapKind}, api.WatchOptions{After: 1 << 40})
	s.fails(err, metav1.StatusReasonTimeout, "Too large resource version")
}

func watchIndexed(s *suite) {
	on := func(node string) *stream {
		return s.watch(api.PodKind, "", api.WatchOptions{Initial: true, Fields: fields.OneTermEqualSelector("spec.nodeName", node)})
	}
	n1, n2, none := on("n1"), on("n2"), on("")
	pod := s.create(strings.Replace(boundPod, "nodeName: n1", "", 1))
	bind := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "default"}, Target: corev1.ObjectReference{Kind: "Node", Name: "n2"}}
	if _, err := s.Write(s.ctx, api.Request{Target: s.target(pod, "binding"), Verb: api.VerbCreate, Body: bind}); err != nil {
		s.Fatal(err)
	}
	none.tells("READY", "ADDED p", "DELETED p")
	n2.tells("READY", "ADDED p")
	s.create(strings.Replace(boundPod, "name: p", "name: q", 1))
	n1.tells("READY", "ADDED q")
}

// Every open watch soon reaches what Now has answered, also one of a quiet kind.
func now(s *suite) {
	w := s.watch(api.SecretKind, "", api.WatchOptions{Initial: true})
	w.tells("READY")
	s.maps("a")
	to := s.now()
	for e := w.event(); e.Revision < to; e = w.event() {
		if e.Type != api.Bookmark {
			s.Fatalf("a quiet kind tells %s", e.Type)
		}
	}
}
