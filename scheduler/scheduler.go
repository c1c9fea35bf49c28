package scheduler

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/url"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"golang.org/x/sync/errgroup"

	"optimist/internal/api"
	"optimist/internal/console"
	"optimist/internal/event"
	"optimist/internal/informer"
	"optimist/internal/leader"
	"optimist/internal/reconcile"
	"optimist/internal/wake"
	"optimist/scheduler/framework"
	"optimist/scheduler/plugins"
)

// Name is the scheduler that a Pod gets when it names none.
const Name = corev1.DefaultSchedulerName

// LeaseKey is the Lease whose holder schedules.
var LeaseKey = api.Key{Namespace: metav1.NamespaceSystem, Name: "optimist-scheduler"}

const (
	binders = 16          // bounds the writes that are under way at once
	pause   = time.Second // after the API server could not be asked how far it is
)

// Config is what a scheduler needs.
type Config struct {
	Service api.Service // as system:scheduler
	ID      string      // unique among the running copies: the Lease's holder
	Log     *slog.Logger
	Console *console.Ring // what Log wrote lately; nil = nobody may read it
}

// Scheduler binds pods to nodes while it leads.
type Scheduler struct {
	cfg       Config
	set       *informer.Set
	svc       api.Service // cfg.Service, own writes laid over the cache
	pods      informer.Reader[*corev1.Pod]
	events    *event.Recorder
	decisions *reconcile.Decisions
	rules     rules

	mu    sync.Mutex // guards what follows
	queue *queue
	cache *cache
	poke  wake.Bell // something was queued
}

// New makes a scheduler; it does nothing before Run.
func New(cfg Config) *Scheduler {
	set := informer.NewSet(cfg.Service)
	set.Log = cfg.Log
	s := &Scheduler{cfg: cfg, set: set, svc: set.Over(cfg.Service),
		events:    event.NewRecorder(cfg.Service, Name, cfg.ID),
		decisions: reconcile.NewDecisions(),
		rules:     rules{filters: plugins.Filters(), scorers: plugins.Scorers()},
		cache:     newCache(), poke: wake.New()}
	s.queue = newQueue(s.rules.filters)
	s.pods = informer.Watch(set, api.Pods, informer.Options[*corev1.Pod]{})
	informer.Watch(set, api.Nodes, informer.Options[*corev1.Node]{})
	set.Listen(api.PodKind, s.podChanged)
	set.Listen(api.NodeKind, s.nodeChanged)
	return s
}

// Set is what the scheduler watches: who drives One delivers to it (law 11).
func (s *Scheduler) Set() *informer.Set { return s.set }

// Run watches from the start, so that a new leader knows everything at once, and schedules while it holds the Lease.
func (s *Scheduler) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.set.Run(ctx) })
	g.Go(func() error { return s.events.Run(ctx) })
	g.Go(func() error {
		return leader.Run(ctx, leader.Config{Service: s.cfg.Service, Lease: LeaseKey, ID: s.cfg.ID, Log: s.cfg.Log}, s.lead)
	})
	return g.Wait()
}

// Connect answers over the kept connection: "log" is the scheduler's own log, "decisions" what it decided lately, and why, "explain" what
// each filter says of each node about a pod now.
func (s *Scheduler) Connect(ctx context.Context, t api.Target, params url.Values) (api.Stream, error) {
	if t.Sub == "explain" {
		return s.connectExplain(ctx, params)
	}
	return s.decisions.Answer(ctx, t, params, s.cfg.Console)
}

// Begin makes sure that nobody decides before all is known that was written up to now: whoever led before may have written what this cache has
// not seen yet.
func (s *Scheduler) Begin() {
	s.set.Doubt()
	s.cfg.Log.Info("scheduling", "lease", LeaseKey, "holder", s.cfg.ID)
}

// lead decides on one pod after the other; the writes that follow run beside it.
func (s *Scheduler) lead(ctx context.Context) error {
	s.Begin()
	var g errgroup.Group
	g.SetLimit(binders)
	defer func() { _ = g.Wait() }() // carryOut keeps its errors: they are retried
	for ctx.Err() == nil {
		if err := s.set.Settle(ctx); err != nil {
			s.breathe(ctx, err)
			continue
		}
		it, pod, d := s.decideNext()
		if it == nil {
			s.rest(ctx)
			continue
		}
		g.Go(func() error { s.carryOut(ctx, it, pod, d); return nil })
	}
	return ctx.Err()
}

// breathe waits a moment: whether we still lead is the lease's business, not that of one failed call.
func (s *Scheduler) breathe(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	s.cfg.Log.Warn("cannot ask the API server how far it is, will retry", "retry", pause, "err", err)
	_ = wake.After(ctx, pause, nil)
}

// One decides on one pod and carries the decision out; false if no pod is due. It is the synchronous core of the loop (law 11).
func (s *Scheduler) One(ctx context.Context) bool {
	if s.set.Settle(ctx) != nil {
		return false
	}
	it, pod, d := s.decideNext()
	if it == nil {
		return false
	}
	s.carryOut(ctx, it, pod, d)
	return true
}

// decideNext takes the next due pod, decides, and enters the decision in the cache before anything is written.
func (s *Scheduler) decideNext() (*item, *corev1.Pod, decision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		it := s.queue.pop(time.Now())
		if it == nil {
			return nil, nil, decision{}
		}
		pod, ok := s.pods.Get(it.key)
		if !ok || !wanted(pod) {
			s.queue.remove(it.key)
			continue
		}
		if s.cache.placed[pod.UID] != nil { // an earlier decision on it is under way: two at a time would share one place in the account
			s.queue.failed(it, nil, time.Now())
			continue
		}
		d := s.rules.decide(pod, s.cache.snapshot())
		if d.node != "" {
			assumed := *pod
			assumed.Spec.NodeName = d.node
			s.cache.place(&assumed)
		}
		return it, pod, d
	}
}

// carryOut writes a decision: a binding, or the reason why there is none.
func (s *Scheduler) carryOut(ctx context.Context, it *item, pod *corev1.Pod, d decision) {
	ctx = api.WithCauses(ctx, it.causes)
	noted := reconcile.Decision{Time: time.Now(), Object: "pod/" + it.key.String(), Revision: api.RevisionOf(pod), Causes: it.causes, Why: d.why()}
	if d.node == "" {
		noted.Step = "wait: fits nowhere"
		noted.Wrote = s.explain(ctx, pod, d)
		s.retry(it, d.refusedBy())
	} else {
		noted.Step = "bind to " + d.node
		wrote, err := s.bind(ctx, pod, d)
		if noted.Wrote = wrote; err != nil {
			noted.Error = err.Error()
		}
		s.settle(ctx, it, pod, d, err)
	}
	s.decisions.Add(noted)
	s.log(ctx, noted)
}

// log tells what was written; why a pod still waits stands in the log once.
func (s *Scheduler) log(ctx context.Context, d reconcile.Decision) {
	if d.Wrote == 0 {
		return
	}
	line := console.Act{Object: d.Object, Revision: d.Revision, Causes: d.Causes, Wrote: d.Wrote}
	line.Did("", d.Step, d.Why)
	line.Log(ctx, s.cfg.Log, slog.LevelInfo)
}

func (s *Scheduler) bind(ctx context.Context, pod *corev1.Pod, d decision) (api.Revision, error) {
	key := api.KeyOf(pod)
	r, err := s.svc.Write(ctx, api.Request{
		Target: api.Target{Kind: api.PodKind, Key: key, Sub: "binding"}, Verb: api.VerbCreate,
		Body: &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: pod.UID},
			Target:     corev1.ObjectReference{Kind: api.NodeKind.Name, Name: d.node},
		}})
	if err != nil {
		return 0, err
	}
	s.events.Event(ctx, pod, corev1.EventTypeNormal, "Scheduled", "Successfully assigned "+key.String()+" to "+d.node)
	return r.Revision, nil
}

// settle closes the account of a binding: done, or taken out of the cache again and put back into the queue.
func (s *Scheduler) settle(ctx context.Context, it *item, pod *corev1.Pod, d decision, err error) {
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.queue.items[it.key] == it && !it.ready {
			s.queue.remove(it.key)
		}
		return
	}
	s.mu.Lock()
	s.cache.remove(pod.UID)
	if now, ok := s.pods.Get(it.key); ok && now.UID == pod.UID && now.Spec.NodeName != "" {
		s.cache.place(now) // it is bound all the same, and the watch has told so already
	}
	s.mu.Unlock()
	if !reconcile.Stale(err) && ctx.Err() == nil {
		s.cfg.Log.Warn("binding failed, will retry", "pod", it.key, "node", d.node, "err", err)
	}
	s.retry(it, nil)
}

// explain writes why a pod fits nowhere into its condition PodScheduled and an Event, unless the condition says so already.
func (s *Scheduler) explain(ctx context.Context, pod *corev1.Pod, d decision) api.Revision {
	message := d.message()
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Message == message {
			return 0
		}
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID},
		"status": corev1.PodStatus{Conditions: []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: message,
			ObservedGeneration: pod.Generation, LastTransitionTime: metav1.Now(),
		}}}})
	var wrote *corev1.Pod
	if err == nil {
		wrote, err = api.Pods.Patch(ctx, s.svc, api.KeyOf(pod), "status", types.StrategicMergePatchType, patch)
	}
	if err != nil && !reconcile.Stale(err) && ctx.Err() == nil {
		s.cfg.Log.Warn("cannot explain why a pod is unschedulable, will retry", "pod", api.KeyOf(pod), "err", err)
	}
	s.events.Event(ctx, pod, corev1.EventTypeWarning, "FailedScheduling", message)
	if err != nil {
		return 0
	}
	return api.RevisionOf(wrote)
}

func (s *Scheduler) retry(it *item, refusedBy map[string]bool) {
	s.mu.Lock()
	s.queue.failed(it, refusedBy, time.Now())
	s.mu.Unlock()
	s.poke.Ring()
}

// rest waits until something is queued or a back-off ends.
func (s *Scheduler) rest(ctx context.Context) {
	s.mu.Lock()
	next := s.queue.next()
	s.mu.Unlock()
	_ = wake.Until(ctx, next, s.poke)
}

// wanted reports whether a pod waits for this scheduler.
func wanted(p *corev1.Pod) bool {
	return p.Spec.NodeName == "" && p.Spec.SchedulerName == Name && p.DeletionTimestamp == nil && len(p.Spec.SchedulingGates) == 0 && !api.Ended(p)
}

// podChanged keeps queue and cache in step with what is watched.
func (s *Scheduler) podChanged(c informer.Change) {
	before, _ := c.Before.(*corev1.Pod)
	after, _ := c.After.(*corev1.Pod)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.poke.Ring()
	if before != nil && (after == nil || before.UID != after.UID) {
		s.gone(before, c.Revision)
	}
	switch {
	case after == nil:
	case wanted(after):
		if before == nil || before.UID != after.UID || before.Generation != after.Generation || !wanted(before) {
			var priority int32
			if after.Spec.Priority != nil {
				priority = *after.Spec.Priority
			}
			s.queue.add(api.KeyOf(after), priority, trigger(c.Revision))
		}
	case api.Ended(after):
		s.gone(after, c.Revision)
	default:
		s.queue.remove(api.KeyOf(after))
		if after.Spec.NodeName != "" {
			s.cache.place(after)
		}
	}
}

func (s *Scheduler) gone(p *corev1.Pod, r api.Revision) {
	s.queue.remove(api.KeyOf(p))
	if s.cache.remove(p.UID) {
		s.queue.wake([]framework.Change{framework.PodGone}, r)
	}
}

func trigger(r api.Revision) api.Causes {
	return api.Causes{}.Add(api.Cause{Type: api.CauseTrigger, Revision: r})
}

func (s *Scheduler) nodeChanged(c informer.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.poke.Ring()
	n, ok := c.After.(*corev1.Node)
	if !ok {
		s.cache.removeNode(c.Before.GetName())
		return
	}
	if changes := s.cache.setNode(n); len(changes) > 0 {
		s.queue.wake(changes, c.Revision)
	}
}
