package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
	"optimist/internal/informer"
)

// tape is a Service that takes down what is written, and with which causes.
type tape struct {
	api.Service
	writes []api.Request
	causes []api.Causes
	live   api.Object // what Get answers
	fail   error
}

func (s *tape) Write(ctx context.Context, r api.Request) (api.Result, error) {
	if s.fail != nil {
		return api.Result{}, s.fail
	}
	s.writes, s.causes = append(s.writes, r), append(s.causes, api.CausesFrom(ctx))
	return api.Result{Object: r.Body, Revision: 100}, nil
}

func (s *tape) Get(context.Context, api.Target, api.GetOptions) (api.Result, error) {
	if s.live == nil {
		return api.Result{}, api.ReplicaSetKind.NotFound("web")
	}
	return api.Result{Object: s.live}, nil
}

func (s *tape) Now(context.Context) (api.Revision, error) { return 0, nil }

func meta(name, revision string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "default", Name: name, UID: "uid-of-" + "web", ResourceVersion: revision}
}

func set(revision string) *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{ObjectMeta: meta("web", revision)}
}

func pod(name, revision string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: meta(name, revision)}
	p.UID = "uid-of-pod"
	p.OwnerReferences = []metav1.OwnerReference{OwnerRef(set(""))}
	return p
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// bench is a loop over ReplicaSets that own Pods, stepped by hand.
type bench struct {
	*Loop
	set  *informer.Set
	runs []api.Causes
	next func() (time.Duration, error)
}

func newBench() *bench {
	b := &bench{set: informer.NewSet(&tape{}), next: func() (time.Duration, error) { return 0, nil }}
	informer.Watch(b.set, api.ReplicaSets, informer.Options[*appsv1.ReplicaSet]{})
	informer.Watch(b.set, api.Pods, informer.Options[*corev1.Pod]{})
	b.Loop = NewLoop(Controller{Name: "test", For: api.ReplicaSetKind, Owns: []*api.Kind{api.PodKind},
		Reconcile: func(ctx context.Context, key api.Key) (time.Duration, error) {
			b.runs = append(b.runs, api.CausesFrom(ctx))
			return b.next()
		}}, Deps{Set: b.set, Log: quiet()})
	b.listed(api.ReplicaSetKind, set("3"))
	b.listed(api.PodKind)
	return b
}

func (b *bench) listed(k *api.Kind, objects ...api.Object) {
	b.set.Open(k)
	var events []api.Event
	for _, o := range objects {
		events = append(events, api.Event{Type: api.Added, Object: o, Revision: 5})
	}
	b.set.Deliver(k, append(events, api.Event{Type: api.Bookmark, Revision: 5, InitialEnd: true}))
}

func edges(c api.Causes) (all []string) {
	for _, e := range c.Edges {
		all = append(all, string(e.Type)+" "+e.Revision.String())
	}
	return all
}

func (b *bench) expect(t *testing.T, want ...string) {
	t.Helper()
	if !b.Step(t.Context()) {
		t.Fatal("nothing was due")
	}
	if got := edges(b.runs[len(b.runs)-1]); !slices.Equal(got, want) {
		t.Fatalf("the causes are %q, want %q", got, want)
	}
}

func TestEachRunKnowsItsCauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.expect(t, "restart 3") // the first look
		if b.Step(t.Context()) {
			t.Fatal("a second run without a cause")
		}
		b.set.Deliver(api.PodKind, []api.Event{{Type: api.Added, Object: pod("a", "6"), Revision: 6}, {Type: api.Added, Object: pod("b", "7"), Revision: 7}})
		b.next = func() (time.Duration, error) { return time.Minute, nil }
		b.expect(t, "trigger 6", "trigger 7") // two children, one run
		time.Sleep(time.Minute - 1)
		if b.Step(t.Context()) {
			t.Fatal("a run before its time")
		}
		time.Sleep(time.Nanosecond)
		b.next = func() (time.Duration, error) { return 0, errors.New("no") }
		b.expect(t, "timer 7")
		time.Sleep(firstBackoff)
		b.expect(t, "timer 7") // the retry is for the same reason
		b.set.Deliver(api.ReplicaSetKind, []api.Event{{Type: api.Modified, Object: set("8"), Revision: 8}})
		b.expect(t, "timer 7", "trigger 8") // a change does not wait for the back-off
	})
}

func TestAChangeDuringARunCausesAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.next = func() (time.Duration, error) {
			b.next = func() (time.Duration, error) { return 0, nil }
			b.set.Deliver(api.ReplicaSetKind, []api.Event{{Type: api.Modified, Object: set("8"), Revision: 8}})
			return 0, nil
		}
		b.expect(t, "restart 3")
		b.expect(t, "trigger 8")
	})
}

func TestRunWorksUntilItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.Workers = 3
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		synctest.Wait()
		b.set.Deliver(api.PodKind, []api.Event{{Type: api.Added, Object: pod("a", "6"), Revision: 6}})
		synctest.Wait()
		stop()
		if err := <-done; err != nil || len(b.runs) != 2 {
			t.Fatalf("%d runs, error %v", len(b.runs), err)
		}
	})
}

func TestActTakesStepsInOrderAndStopsAtTheFirstThatFails(t *testing.T) {
	svc := &tape{live: set("4")}
	d := Deps{Service: svc, Log: quiet(), Decisions: NewDecisions()}
	about := set("4")
	adopt := Patch(api.PodKind, pod("a", "2"), `{}`, "it is an orphan", nil)
	adopt.Fresh = true
	plan := []Action{adopt, Create(api.PodKind, pod("b", ""), "one is missing", nil)}
	if err := Act(t.Context(), d, about, plan); err != nil || len(svc.writes) != 2 {
		t.Fatalf("%d writes, error %v", len(svc.writes), err)
	}
	if got := edges(svc.causes[0]); len(got) != 0 {
		t.Error("a patch is not made for its owner:", got)
	}
	if got := edges(svc.causes[1]); !slices.Equal(got, []string{"owner 4"}) {
		t.Error("a child is made for its owner, but the causes are", got)
	}

	svc.live.SetUID("another of that name")
	if err := Act(t.Context(), d, about, plan); !apierrors.IsConflict(err) || len(svc.writes) != 2 {
		t.Fatalf("an owner that was replaced must not adopt: %d writes, error %v", len(svc.writes), err)
	}
	svc.fail = api.PodKind.AlreadyExists("b")
	if err := Act(t.Context(), d, about, plan[1:]); !apierrors.IsAlreadyExists(err) || !Stale(err) {
		t.Fatal("the error should say what it was:", err)
	}
	all, _, _ := d.Decisions.since(0)
	var steps []string
	for _, x := range all {
		steps = append(steps, x.Step+" because "+x.Why)
	}
	if want := []string{"patch pods default/a because it is an orphan", "create pods default/b because one is missing", "create pods default/b because one is missing"}; !slices.Equal(steps, want) {
		t.Errorf("decisions: %q", steps)
	}
	if all[1].Wrote != 100 || all[1].Object != "replicaset/default/web" || all[2].Error == "" {
		t.Errorf("%+v", all)
	}
}

func TestAReconcileIsOneLineInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		b := newBench()
		b.deps.Log = slog.New(slog.NewTextHandler(&out, nil))
		b.deps.Service = &tape{}
		b.Reconcile = func(ctx context.Context, _ api.Key) (time.Duration, error) {
			var plan []Action
			for _, name := range []string{"a", "b", "c"} {
				plan = append(plan, Create(api.PodKind, pod(name, ""), "3 are missing", nil))
			}
			if err := Act(ctx, b.deps, set("4"), append(plan, Delete(api.PodKind, pod("d", "1"), "it is old", nil))); err != nil {
				return 0, err
			}
			return 0, Act(ctx, b.deps, set("4"), []Action{Update(api.ReplicaSetKind, "status", set("4"), "it is old", nil)}) // what a failure is reported with
		}
		b.set.Deliver(api.PodKind, []api.Event{{Type: api.Added, Object: pod("a", "6"), Revision: 6}, {Type: api.Added, Object: pod("b", "7"), Revision: 7}})
		b.Step(t.Context())
		if want := `level=INFO msg=acted object=replicaset/default/web revision=4 cause=trigger@7+2 ` +
			`step="create pods default/a and 2 more; delete pods default/d; update replicasets.apps/status default/web" why="3 are missing; it is old" wrote=100`; lastLine(out.String()) != want {
			t.Errorf("\n got %s\nwant %s", out.String(), want)
		}
		out.Reset()
		b.Reconcile = func(context.Context, api.Key) (time.Duration, error) { return 0, errors.New("no") }
		b.set.Deliver(api.PodKind, []api.Event{{Type: api.Modified, Object: pod("a", "8"), Revision: 8}})
		b.Step(t.Context())
		if want := `level=WARN msg="reconcile failed, will retry" object=replicaset/default/web cause=trigger@8 retry=5ms err=no`; lastLine(out.String()) != want {
			t.Errorf("what only failed:\n got %s\nwant %s", out.String(), want)
		}
	})
}

// lastLine is the only line of a log, without its time.
func lastLine(log string) string {
	_, rest, _ := strings.Cut(strings.TrimSuffix(log, "\n"), " ")
	return rest
}

func TestClaim(t *testing.T) {
	owner := set("4")
	owner.UID = "uid-of-web"
	sel, err := metav1.LabelSelectorAsSelector(&metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name               string
		controller, labels string
		ending             bool
		mine               bool
		patch              string
	}{
		{"its own that matches", "uid-of-web", "web", false, true, ""},
		{"its own that is ending is still its own", "uid-of-web", "web", true, true, ""},
		{"its own that no longer matches is released", "uid-of-web", "db", false, false, `{"metadata":{"ownerReferences":[{"$patch":"delete","uid":"uid-of-web"}]}}`},
		{"another's that matches", "another", "web", false, false, ""},
		{"an orphan that matches is adopted", "", "web", false, false,
			`{"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web","uid":"uid-of-web","controller":true,"blockOwnerDeletion":true}]}}`},
		{"an orphan that does not match", "", "db", false, false, ""},
		{"an orphan that is ending", "", "web", true, false, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := pod("a", "2")
			p.Labels = map[string]string{"app": row.labels}
			if p.OwnerReferences[0].UID = "another"; row.controller == "uid-of-web" {
				p.OwnerReferences[0].UID = owner.UID
			} else if row.controller == "" {
				p.OwnerReferences = nil
			}
			if row.ending {
				p.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
			}
			mine, steps := Claim(owner, sel, api.PodKind, []*corev1.Pod{p})
			if (len(mine) == 1) != row.mine {
				t.Error("mine:", mine)
			}
			var patch string
			for _, a := range steps {
				patch += string(a.Patch.Data)
			}
			if patch != row.patch {
				t.Error(patch)
			}
		})
	}
}

func TestDecisionsAreServedAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDecisions()
		for i := range maxDecisions + 5 {
			d.Add(Decision{Object: "pod/default/a", Revision: api.Revision(i)})
		}
		d.Add(Decision{Object: "pod/default/b"})
		s, err := d.Connect(t.Context(), url.Values{"object": {"pod/default/a"}})
		if err != nil {
			t.Fatal(err)
		}
		var lines []Decision
		for {
			f, err := s.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if f.Channel == api.ChannelStdout {
				var x Decision
				if err := json.Unmarshal(f.Data, &x); err != nil {
					t.Fatal(err)
				}
				lines = append(lines, x)
			}
		}
		if len(lines) != maxDecisions-1 || lines[0].Revision != 6 || lines[len(lines)-1].Revision != maxDecisions+4 {
			t.Fatalf("%d lines, from %d to %d", len(lines), lines[0].Revision, lines[len(lines)-1].Revision)
		}
	})
}
