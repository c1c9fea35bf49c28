package pod

import (
	"context"
	"io"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"optimist/agent/probe"
	"optimist/agent/runtime"
	"optimist/internal/wake"
)

func probeKey(k probe.Kind, container string) string { return string(k) + " " + container }

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }

// record is what a probe has told of a running part. Before its first answer that is what the Pod's status tells of this attempt: an agent that
// starts again makes nobody unready.
func (v View) record(p part, k probe.Kind) probe.Record {
	r, known := v.Memory.Probes[probeKey(k, p.spec.Name)]
	if known && r.Attempt == p.last.ID.Attempt {
		return r
	}
	told := StatusOf(v.Pod, p.spec.Name)
	same := told != nil && told.State.Running != nil && int(told.RestartCount) == p.last.ID.Attempt
	healthy := map[probe.Kind]bool{probe.Startup: same && is(told.Started), probe.Liveness: true, probe.Readiness: same && told.Ready}
	return probe.Record{Attempt: p.last.ID.Attempt, Healthy: healthy[k], Due: p.last.Started.Add(seconds(k.Of(p.spec).InitialDelaySeconds))}
}

// well reports whether a running part is, as far as a probe of the kind can tell.
func (v View) well(p part, k probe.Kind) bool { return k.Of(p.spec) == nil || v.record(p, k).Healthy }

// probes are those of some kinds that are due, and when the next one is. Until the startup probe has succeeded there is only that, then only the others.
func probes(v View, parts []part, now time.Time, kinds []probe.Kind) (due []Step, next time.Time) {
	for _, p := range parts {
		for _, k := range kinds {
			if !p.running() || p.role == initial || k.Of(p.spec) == nil || (k == probe.Startup) == p.up {
				continue
			}
			if r := v.record(p, k); now.Before(r.Due) {
				next = earlier(next, r.Due)
			} else {
				due = append(due, Step{Do: Ask, ID: p.last.ID, Probe: k, Why: "its " + string(k) + " probe is due"})
			}
		}
	}
	return due, next
}

// unwell stops what has failed its startup or liveness probe too often. What then becomes of it says its restartPolicy.
func unwell(v View, parts []part) (stops []Step) {
	for _, p := range parts {
		for _, k := range []probe.Kind{probe.Startup, probe.Liveness} {
			if spec := k.Of(p.spec); spec != nil && p.running() && v.record(p, k).Failed {
				s := Step{Do: Stop, ID: p.last.ID, Grace: grace(v.Pod), Probe: k, Why: "its " + string(k) + " probe has failed too often"}
				if own := spec.TerminationGracePeriodSeconds; own != nil {
					s.Grace = max(time.Duration(*own)*time.Second, minGrace)
				}
				stops = append(stops, s)
				break
			}
		}
	}
	return stops
}

// ask makes one probe, and remembers the answer.
func (w *Worker) ask(ctx context.Context, v View, s Step) error {
	p := v.part(containerNamed(v.Pod, s.ID.Name))
	spec, asked := s.Probe.Of(p.spec), time.Now()
	limit, cancel := context.WithTimeout(ctx, seconds(spec.TimeoutSeconds))
	defer cancel()
	ok, said, err := w.check(limit, v, p.spec, spec.ProbeHandler, s.ID, s.Probe)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w.mu.Lock()
	r := v.record(p, s.Probe)
	if err == nil {
		r = r.Add(spec, ok)
	}
	w.memory.Probes[probeKey(s.Probe, p.spec.Name)] = r.Later(spec, asked, time.Now())
	w.mu.Unlock()
	if err != nil {
		w.say(ctx, corev1.EventTypeWarning, "Unhealthy", "%s probe errored: %v", s.Probe, err)
	} else if !ok {
		w.say(ctx, corev1.EventTypeWarning, "Unhealthy", "%s probe failed: %s", s.Probe, said)
	}
	return nil
}

func (w *Worker) check(ctx context.Context, v View, c *corev1.Container, h corev1.ProbeHandler, id runtime.ContainerID, k probe.Kind) (bool, string, error) {
	if r, simulated := w.host.Runtime.(runtime.Prober); simulated {
		ok, said := r.Probe(id, string(k))
		return ok, said, nil
	}
	return probe.Check(ctx, h, probe.Target{Container: c, Address: v.address(), Exec: func(ctx context.Context, line []string, out io.Writer) (int, error) {
		return w.host.Runtime.Exec(ctx, id, runtime.Process{Command: line, Stdout: out, Stderr: out})
	}})
}

// meanwhile goes on asking for readiness while containers stop: who is ready may get connections to its end.
func (w *Worker) meanwhile(ctx context.Context, v View, stops *sync.WaitGroup) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for waited := false; ctx.Err() == nil; {
		due, next := probes(v, look(v, time.Now()), time.Now(), []probe.Kind{probe.Readiness})
		switch {
		case len(due) == 0 && next.IsZero():
			return
		case !waited:
			waited = true
			go func() { stops.Wait(); cancel() }()
		case len(due) == 0:
			_ = wake.Until(ctx, next, nil)
		case w.act(ctx, v, due):
			if pod, ok := w.host.Pods.Get(w.key); ok && pod.UID == w.uid {
				v.Pod = pod
			}
			if told := postpone(report(v, time.Now(), "its readiness has changed"), w.memory, time.Now()); len(told) > 0 && told[0].Do == WriteStatus {
				w.act(ctx, v, told[:1])
			}
		}
	}
}

// preStop lets a container prepare its end, at most as long as its grace. That it fails keeps nobody.
func (w *Worker) preStop(ctx context.Context, v View, s Step) {
	limit, cancel := context.WithTimeout(ctx, s.Grace)
	defer cancel()
	if c := containerNamed(v.Pod, s.ID.Name); c != nil && c.Lifecycle != nil && !w.hook(limit, v, c, c.Lifecycle.PreStop, s.ID) && ctx.Err() == nil {
		w.say(ctx, corev1.EventTypeWarning, "FailedPreStopHook", "PreStopHook failed")
	}
}

// postStart ends a container that it fails for. An agent that died meanwhile does not repeat it.
func (w *Worker) postStart(ctx context.Context, v View, s Step) (err error) {
	if v.Sandbox, err = w.host.Runtime.Sandbox(ctx, w.uid); err != nil {
		return err
	}
	c := containerNamed(v.Pod, s.ID.Name)
	if !v.part(c).running() || w.hook(ctx, v, c, c.Lifecycle.PostStart, s.ID) || ctx.Err() != nil {
		return ctx.Err()
	}
	w.say(ctx, corev1.EventTypeWarning, "FailedPostStartHook", "PostStartHook failed")
	return w.host.Runtime.Stop(ctx, s.ID, grace(v.Pod))
}

// hook does what a container wants at a turn of its life, if anything, and reports whether it went well.
func (w *Worker) hook(ctx context.Context, v View, c *corev1.Container, h *corev1.LifecycleHandler, id runtime.ContainerID) bool {
	if h == nil {
		return true
	}
	if h.Sleep != nil {
		_ = wake.After(ctx, time.Duration(h.Sleep.Seconds)*time.Second, nil)
		return true
	}
	ok, _, err := w.check(ctx, v, c, corev1.ProbeHandler{Exec: h.Exec, HTTPGet: h.HTTPGet, TCPSocket: h.TCPSocket}, id, "Hook")
	return ok && err == nil
}
