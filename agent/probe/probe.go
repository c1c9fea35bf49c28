// Package probe asks containers whether they are well, and counts the answers.
//
//	startup    until it succeeds, the others wait and the container has not started; failed too often: stopped, and started again
//	liveness   failed too often: stopped, and started again
//	readiness  the container is ready as long as it succeeds: who is ready gets a Service's connections
//
// When to ask, and what follows from the answers, is package pod's plan: a Record is pure, and Check asks once. Requests go from the node's
// network namespace to the pod's address; commands run in the container.
//
// Start reading at Record. Invariant: what could not be asked (the agent's own fault) counts for nothing.
//
// Real Kubernetes' kubelet has a goroutine for every probe, and calls off what is longer than its timeout in the same way.
package probe

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Kind is what a probe is for, in the words of Kubernetes' Events.
type Kind string

const (
	Startup   Kind = "Startup"
	Liveness  Kind = "Liveness"
	Readiness Kind = "Readiness"
)

// Kinds are in the order in which they matter.
var Kinds = []Kind{Startup, Liveness, Readiness}

// Of is a container's probe of the kind; nil = it has none.
func (k Kind) Of(c *corev1.Container) *corev1.Probe {
	return map[Kind]*corev1.Probe{Startup: c.StartupProbe, Liveness: c.LivenessProbe, Readiness: c.ReadinessProbe}[k]
}

// Record is what is known by one probe of one attempt at a container.
type Record struct {
	Attempt int
	Healthy bool      // succeeded as often as it has to …
	Failed  bool      // … or failed so; neither: not enough is known
	Due     time.Time // when to ask next
	last    bool      // the newest answer …
	run     int       // … and how many of that sort came in a row
}

// Add takes in an answer.
func (r Record) Add(p *corev1.Probe, ok bool) Record {
	if ok != r.last {
		r.last, r.run = ok, 0
	}
	threshold := p.FailureThreshold
	if ok {
		threshold = p.SuccessThreshold
	}
	if r.run++; r.run >= int(threshold) {
		r.Healthy, r.Failed = ok, !ok
	}
	return r
}

// Later asks again a period after the last time; if answering took longer, a period from now: there is other work to do.
func (r Record) Later(p *corev1.Probe, asked, now time.Time) Record {
	period := time.Duration(p.PeriodSeconds) * time.Second
	if r.Due = asked.Add(period); !r.Due.After(now) {
		r.Due = now.Add(period)
	}
	return r
}
