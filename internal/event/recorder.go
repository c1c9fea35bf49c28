package event

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/api"
	"optimist/internal/wake"
)

const (
	maxQueued = 1000
	maxKnown  = 4096
	tries     = 3
	pause     = time.Second
)

// Recorder writes Events on behalf of a component.
type Recorder struct {
	svc             api.Service
	component, host string
	queue           chan *said // pointers: the queue is long and almost always empty
	dropped         atomic.Int64

	// owned by Run
	known map[sentence]*corev1.Event
	order []sentence // of known, oldest first
	last  int64      // the number in the newest Event's name
}

// said is one call of Event.
type said struct {
	sentence
	about  corev1.ObjectReference
	when   time.Time
	causes api.Causes
}

// sentence is what makes two calls the same Event.
type sentence struct {
	uid                        types.UID
	kind, namespace, name      string
	eventType, reason, message string
}

// NewRecorder returns a recorder; host may be "".
func NewRecorder(svc api.Service, component, host string) *Recorder {
	return &Recorder{svc: svc, component: component, host: host, queue: make(chan *said, maxQueued), known: map[sentence]*corev1.Event{}}
}

// Event says something about an object; eventType is corev1.EventTypeNormal or EventTypeWarning. It never blocks: what does not fit is dropped.
func (r *Recorder) Event(ctx context.Context, about api.Object, eventType, reason, message string) {
	ref := reference(about)
	s := &said{
		sentence: sentence{about.GetUID(), ref.Kind, ref.Namespace, ref.Name, eventType, reason, message},
		about:    ref, when: time.Now(), causes: api.CausesFrom(ctx),
	}
	select {
	case r.queue <- s:
	default:
		r.dropped.Add(1)
	}
}

// Dropped is how many Events did not fit into the queue.
func (r *Recorder) Dropped() int64 { return r.dropped.Load() }

// Run writes what is said until ctx ends.
func (r *Recorder) Run(ctx context.Context) error {
	for {
		select {
		case s := <-r.queue:
			r.record(api.WithCauses(ctx, s.causes), s)
		case <-ctx.Done():
			return nil
		}
	}
}

// record tries a few times while the server cannot be reached, then forgets the Event.
func (r *Recorder) record(ctx context.Context, s *said) {
	for range tries {
		err := r.write(ctx, s)
		if err == nil || apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsNotFound(err) {
			return // a terminating namespace takes no Events: that is no fault of ours
		}
		if wake.After(ctx, pause, nil) != nil {
			return
		}
	}
	r.dropped.Add(1)
}

func (r *Recorder) write(ctx context.Context, s *said) error {
	if e := r.known[s.sentence]; e != nil {
		err := r.again(ctx, e, s.when)
		if !apierrors.IsNotFound(err) {
			return err
		}
	}
	e := r.compose(s)
	if _, err := api.Events.Create(ctx, r.svc, e.DeepCopy()); err != nil {
		return err
	}
	r.remember(s.sentence, e)
	return nil
}

// repetition is the merge patch that counts one more.
type repetition struct {
	Count         int32       `json:"count"`
	LastTimestamp metav1.Time `json:"lastTimestamp"`
}

// again counts a repetition.
func (r *Recorder) again(ctx context.Context, e *corev1.Event, when time.Time) error {
	patch, err := json.Marshal(repetition{e.Count + 1, metav1.NewTime(when)})
	if err != nil {
		return err
	}
	if _, err := api.Events.Patch(ctx, r.svc, api.KeyOf(e), "", types.MergePatchType, patch); err != nil {
		return err
	}
	e.Count++
	return nil
}

func (r *Recorder) remember(s sentence, e *corev1.Event) {
	if _, again := r.known[s]; !again {
		r.order = append(r.order, s)
	}
	r.known[s] = e
	if len(r.order) > maxKnown {
		delete(r.known, r.order[0])
		r.order = r.order[1:]
	}
}

func (r *Recorder) compose(s *said) *corev1.Event {
	r.last = max(r.last+1, s.when.UnixNano())
	when := metav1.NewTime(s.when)
	namespace := s.namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("%s.%x", s.name, r.last)},
		InvolvedObject: s.about,
		Type:           s.eventType, Reason: s.reason, Message: s.message,
		Source:         corev1.EventSource{Component: r.component, Host: r.host},
		FirstTimestamp: when, LastTimestamp: when, Count: 1,
		ReportingController: r.component, ReportingInstance: r.host,
	}
}

// reference names an object as Events do.
func reference(o api.Object) corev1.ObjectReference {
	ref := corev1.ObjectReference{Namespace: o.GetNamespace(), Name: o.GetName(), UID: o.GetUID(), ResourceVersion: o.GetResourceVersion()}
	gvk := o.GetObjectKind().GroupVersionKind()
	if k := api.Builtin.Of(o); k != nil {
		gvk = k.GVK("")
	}
	ref.APIVersion, ref.Kind = gvk.ToAPIVersionAndKind()
	return ref
}
