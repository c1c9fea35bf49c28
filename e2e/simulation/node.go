package simulation

import (
	"context"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/images"
	"optimist/agent/network"
	"optimist/agent/node"
	"optimist/agent/pod"
	"optimist/agent/runtime"
	"optimist/agent/runtime/sim"
	"optimist/internal/api"
	"optimist/internal/event"
	"optimist/internal/informer"
)

// machine is a node: a runtime and a network, which stay, and an agent, which comes and goes.
type machine struct {
	w       *World
	name    string
	address string
	runtime *sim.Runtime
	network *network.Loopback
	life    *life // the agent's

	pods   informer.Reader[*corev1.Pod]
	nodes  informer.Reader[*corev1.Node]
	settle func(context.Context) error
	host   *pod.Host
	keeper *node.Keeper
	up     bool // the pod network stands, and the workers work
	busy   struct{ report, renew bool }
	report time.Time // when to look at the Node again
	renew  time.Time // when to renew the lease
	jobs   []*job    // one a pod
}

// job is the worker of one pod, and when it wants to be stepped.
type job struct {
	worker *pod.Worker
	key    api.Key
	uid    types.UID
	now    bool
	at     time.Time
	busy   bool
}

var capacity = corev1.ResourceList{
	corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("8Gi"),
	corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"), corev1.ResourcePods: resource.MustParse("12"),
}

// start begins an agent's life, as agent.New and agent.(*Agent).Run do, but with steps instead of goroutines.
func (m *machine) start() {
	w := m.w
	m.life = w.newLife(m.name)
	m.up, m.jobs, m.report, m.renew = false, nil, time.Now(), time.Now()
	m.busy.report, m.busy.renew = false, false
	l := &link{m.life, api.User{Name: api.NodePrefix + m.name, Groups: []string{api.GroupNodes}}, "node"}
	set := informer.NewSet(l)
	svc := set.Over(l)
	m.nodes = informer.Watch(set, api.Nodes, informer.Options[*corev1.Node]{Fields: fields.OneTermEqualSelector("metadata.name", m.name)})
	m.pods = informer.Watch(set, api.Pods, informer.Options[*corev1.Pod]{Fields: fields.OneTermEqualSelector("spec.nodeName", m.name)})
	rt := &shaky{m.runtime, m, m.life}
	m.keeper = node.New(node.Config{Service: svc, Nodes: m.nodes, Name: m.name, Address: m.address, Capacity: capacity, Version: rt.Version, Log: w.logger(m.name)})
	m.host = &pod.Host{Service: svc, Pods: m.pods, Runtime: rt, Network: m.network, Images: images.NewPuller(rt), Events: event.NewRecorder(nil, "kubelet", m.name),
		Starts: make(chan struct{}, 2*maxDepth), Node: pod.Node{Name: m.name, IP: m.address, Runtime: "sim", Allocatable: capacity}, Log: w.logger(m.name)}
	set.Doubt()
	m.settle = set.Settle
	set.Listen(api.PodKind, m.changed)
	set.Listen(api.NodeKind, func(informer.Change) { m.report = time.Time{} })
	m.life.streams = streams(m.life, set)
}

// prepare sets the network up once the Node has addresses to give, and finds out what is wanted and what is there.
func (m *machine) prepare() {
	own, ok := m.nodes.Get(api.Key{Name: m.name})
	if m.up || !m.life.runs() || !ok || !synced(m.life.streams) {
		return
	}
	cidr, err := netip.ParsePrefix(own.Spec.PodCIDR)
	if err != nil || m.settle(m.life.ctx) != nil || m.up {
		return
	}
	boxes, _ := m.runtime.State(m.life.ctx)
	kept := map[types.UID]netip.Addr{}
	for _, b := range boxes {
		if b.Address.IsValid() {
			kept[b.Pod] = b.Address
		}
	}
	if m.network.Setup(m.life.ctx, network.Config{Node: m.name, PodCIDR: cidr}) != nil || m.network.Keep(m.life.ctx, kept) != nil {
		return
	}
	m.up, m.report = true, time.Time{}
	m.keeper.Wired()
	for p := range m.pods.List("", nil) {
		m.ensure(api.KeyOf(p), p.UID)
	}
	for _, b := range boxes {
		m.ensure(api.Key{Namespace: b.Namespace, Name: b.Name}, b.Pod)
	}
}

// changed is what agent's pods.changed does: a worker a pod, and wake it.
func (m *machine) changed(c informer.Change) {
	for _, o := range []api.Object{c.Before, c.After} {
		if p, ok := o.(*corev1.Pod); ok && m.up {
			m.ensure(api.KeyOf(p), p.UID).now = true
		}
	}
}

func (m *machine) ensure(key api.Key, uid types.UID) *job {
	for _, j := range m.jobs {
		if j.uid == uid {
			return j
		}
	}
	j := &job{worker: pod.NewWorker(m.host, key, uid), key: key, uid: uid, now: true}
	m.jobs = append(m.jobs, j)
	return j
}

func (m *machine) happened(uid types.UID) {
	for _, j := range m.jobs {
		if j.uid == uid {
			j.now = true
		}
	}
}

// due lists the workers that want to be stepped.
func (m *machine) due() (all []*job) {
	if !m.life.runs() || !m.up {
		return nil
	}
	for _, j := range m.jobs {
		if !j.busy && (j.now || !j.at.IsZero() && !j.at.After(time.Now())) {
			all = append(all, j)
		}
	}
	return all
}

func (m *machine) step(j *job) {
	life := m.life
	j.now, j.at, j.busy = false, time.Time{}, true
	var next pod.Next
	m.w.acting(&frame{who: m.name, role: "node", life: life, began: life.positions()}, func() { next = j.worker.Step(life.ctx) })
	j.busy = false
	if life.dead || m.life != life {
		return
	}
	j.now, j.at = j.now || next.Now, next.At
	if next.Never {
		m.forget(j)
	}
}

func (m *machine) forget(j *job) {
	for i := range m.jobs {
		if m.jobs[i] == j {
			m.jobs = append(m.jobs[:i:i], m.jobs[i+1:]...)
			break
		}
	}
	if again, ok := m.pods.Get(j.key); ok && again.UID == j.uid {
		m.ensure(j.key, j.uid)
	}
}

// keep looks at the Node and renews the lease, each when it is time to.
func (m *machine) keep() {
	if !m.life.runs() || !synced(m.life.streams) {
		return
	}
	if m.prepare(); !m.busy.report && !time.Now().Before(m.report) {
		m.timed(&m.busy.report, &m.report, m.keeper.Step)
	}
	if m.life.runs() && !m.busy.renew && !time.Now().Before(m.renew) {
		m.timed(&m.busy.renew, &m.renew, m.keeper.Renew)
	}
}

func (m *machine) timed(busy *bool, next *time.Time, step func(context.Context) error) {
	life := m.life
	*busy, *next = true, time.Now().Add(10*time.Second)
	var err error
	m.w.acting(&frame{who: m.name, role: "keeper", life: life, began: life.positions()}, func() { err = step(life.ctx) })
	if m.life != life {
		return
	}
	if *busy = false; err != nil {
		*next = time.Now().Add(time.Second)
	}
}

// shaky is the runtime as an agent sees it that may be killed at any call. It watches over what is started.
type shaky struct {
	*sim.Runtime
	m    *machine
	life *life
}

var _ runtime.Runtime = (*shaky)(nil)

func (s *shaky) call(what string, do func() error) error {
	w := s.m.w
	switch {
	case s.life.dead:
		return errKilled
	case w.strikes(w.Odds.Kill) || w.fatedCall(s.life.name, before):
		s.life.kill("before it could " + what)
		return errKilled
	}
	err := do()
	if w.strikes(w.Odds.Kill) || w.fatedCall(s.life.name, after) {
		s.life.kill("after it could " + what)
		return errKilled
	}
	return err
}

func (s *shaky) StartSandbox(ctx context.Context, spec runtime.SandboxSpec) (b runtime.Sandbox, err error) {
	err = s.call("start a sandbox", func() error {
		s.m.w.say(s.m.name, "starts the sandbox of %s/%s %s", spec.Namespace, spec.Name, spec.Pod)
		b, err = s.Runtime.StartSandbox(ctx, spec)
		return err
	})
	return b, err
}

func (s *shaky) StartContainer(ctx context.Context, spec runtime.ContainerSpec) error {
	return s.call("start a container", func() error {
		before := s.find(ctx, spec.ID)
		err := s.Runtime.StartContainer(ctx, spec)
		if err == nil && !before {
			s.m.w.started(s.m, spec.ID)
		}
		return err
	})
}

func (s *shaky) find(ctx context.Context, id runtime.ContainerID) bool {
	b, _ := s.Runtime.Sandbox(ctx, id.Pod)
	if b == nil {
		return false
	}
	for _, c := range b.Containers {
		if c.ID == id {
			return true
		}
	}
	return false
}

func (s *shaky) Stop(ctx context.Context, id runtime.ContainerID, grace time.Duration) error {
	return s.call("stop a container", func() error {
		s.m.w.say(s.m.name, "stops %s", id)
		return s.Runtime.Stop(ctx, id, grace)
	})
}

func (s *shaky) Remove(ctx context.Context, id runtime.ContainerID) error {
	return s.call("remove a container", func() error { return s.Runtime.Remove(ctx, id) })
}

func (s *shaky) RemoveSandbox(ctx context.Context, uid types.UID) error {
	return s.call("remove a sandbox", func() error {
		s.m.w.say(s.m.name, "removes the sandbox of %s", uid)
		return s.Runtime.RemoveSandbox(ctx, uid)
	})
}
