//go:build unix

// Package leaders pauses leaders for real. Two schedulers and two controllers, each a process, work for one cluster; the leaders are stopped in
// the middle of a burst of writes (SIGSTOP), the others take over when the leases have run out, and then the stopped ones go on where they were
// (SIGCONT), with writes under way from the time when they led. None of these may land.
//
// The API server and the agents run in the test's own process, so that the test sees every transaction with its guards. Who is paused is this
// test's own binary, started again: it does what cmd/scheduler and cmd/controllers do, and tells which of its writes were refused.
package leaders

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/network"
	"optimist/agent/node"
	"optimist/agent/runtime/sim"
	"optimist/apiserver/registry"
	"optimist/apiserver/store/memory"
	"optimist/controllers"
	"optimist/ctl/inprocess"
	"optimist/internal/api"
	"optimist/internal/api/apitest"
	"optimist/internal/pki"
	"optimist/scheduler"
)

const (
	nodes = 4
	many  = 240 // pods: enough that a leader is stopped in the middle of making and binding them
)

// scene is a cluster with its copies.
type scene struct {
	*testing.T
	*ledger
	svc      api.Service
	runtimes []*sim.Runtime
	copies   []*copyOf
}

func setUp(t *testing.T) scene {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close() // free, until the server takes it
	dir := t.TempDir()
	names, err := inprocess.Controllers()
	if err != nil {
		t.Fatal(err)
	}
	if err := (pki.Bootstrap{Cluster: "two", Server: address, Hosts: []string{"127.0.0.1"}, Controllers: names}).Run(dir); err != nil {
		t.Fatal(err)
	}
	conf, err := pki.ServerTLS(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := scene{T: t, ledger: &ledger{Store: memory.New()}}
	cfg := inprocess.Config{Name: "two", Store: s.ledger, Listen: address, TLS: conf, Log: slog.New(slog.DiscardHandler),
		Ranges: registry.Ranges{ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"), ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16"), NodeBits: 24}}
	for i := range nodes {
		s.runtimes = append(s.runtimes, sim.New())
		cfg.Nodes = append(cfg.Nodes, inprocess.Node{Name: fmt.Sprint("n", i+1), Runtime: s.runtimes[i], Network: &network.Loopback{}, Capacity: node.Simulated()})
	}
	cluster, err := inprocess.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.svc = cluster.Service()
	for _, part := range cluster.Names() {
		if part != "scheduler" && part != "controllers" {
			s.start(cluster, part)
		}
	}
	for _, id := range []string{"a", "b"} {
		s.copies = append(s.copies, launch(t, "scheduler", id, dir), launch(t, "controllers", id, dir))
	}
	return s
}

func (s scene) start(c *inprocess.Cluster, part string) {
	s.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := c.Start(ctx, part); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		cancel()
		if err := c.Stop(part); err != nil && !errors.Is(err, context.Canceled) {
			s.Error(err)
		}
	})
}

// patience only ends what hangs.
const patience = 2 * time.Minute

func (s scene) eventually(what string, so func() bool) {
	s.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("not within %s: %s", patience, what)
		}
	}
}

func (s scene) pods() (all []*corev1.Pod) {
	s.Helper()
	all, err := api.Pods.List(s.Context(), s.svc, "default", api.ListOptions{})
	if err != nil {
		s.Fatal(err)
	}
	return all
}

func (s scene) scale(replicas int) {
	s.Helper()
	patch := fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas)
	if _, err := api.Deployments.Patch(s.Context(), s.svc, api.Key{Namespace: "default", Name: "web"}, "", types.MergePatchType, []byte(patch)); err != nil {
		s.Fatal(err)
	}
}

// converged: as many pods as wanted, all of them running, and no more of them on the nodes.
func (s scene) converged(replicas int) bool {
	d, err := api.Deployments.Get(s.Context(), s.svc, api.Key{Namespace: "default", Name: "web"})
	if err != nil || d.Status.AvailableReplicas != int32(replicas) || len(s.pods()) != replicas {
		return false
	}
	running := 0
	for _, r := range s.runtimes {
		boxes, err := r.State(s.Context())
		if err != nil {
			s.Fatal(err)
		}
		running += len(boxes)
	}
	return running == replicas
}

// leads finds the process that holds a part's lease.
func (s scene) leads(part string) *copyOf {
	key := controllers.LeaseKey
	if part == "scheduler" {
		key = scheduler.LeaseKey
	}
	for _, c := range s.copies {
		if c.part == part && c.id == s.leader(key.Name).name {
			return c
		}
	}
	return nil
}

const web = `{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: default, name: web}, spec: {replicas: 0, selector: {matchLabels: {a: b}},
  template: {metadata: {labels: {a: b}}, spec: {terminationGracePeriodSeconds: 1, containers: [{name: c, image: "web:1"}]}}}}`

// Each round pauses the leader of one part, or of both, while pods are made and bound.
func TestALeaderThatWasPausedWritesNothingLate(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for leases of 15 seconds to run out")
	}
	rounds := [][]string{{"scheduler", "controllers"}}
	if os.Getenv("OPTIMIST_LONG") != "" {
		for range 5 {
			rounds = append(rounds, []string{"scheduler"}, []string{"controllers"}, []string{"controllers", "scheduler"})
		}
	}
	s := setUp(t)
	if _, err := api.Deployments.Create(t.Context(), s.svc, apitest.Object(t, web).(*appsv1.Deployment)); err != nil {
		t.Fatal(err)
	}
	s.eventually("both parts have a leader", func() bool { return s.leads("scheduler") != nil && s.leads("controllers") != nil })
	for _, parts := range rounds {
		s.round(parts)
	}
	t.Logf("%d writes of leaders, every one under the epoch in force", s.check(t))
}

func (s scene) round(parts []string) {
	s.Helper()
	s.cordon(false)
	s.scale(many)
	s.eventually("some are made and bound", func() bool { return s.bound() > 20 })
	var paused []*copyOf
	for _, part := range parts {
		s.eventually(part+" is led", func() bool { return s.leads(part) != nil })
		c := s.leads(part)
		c.signal(s.T, syscall.SIGSTOP)
		paused = append(paused, c)
	}
	s.cordon(true) // so that what a paused scheduler wanted to bind is still free when it wakes
	for i, part := range parts {
		s.eventually("another "+part+" leads", func() bool { now := s.leads(part); return now != nil && now != paused[i] })
	}
	s.eventually("the others finish the work", func() bool { return len(s.pods()) == many })
	before := s.bound()
	for _, c := range paused {
		s.wake(c)
	}
	if now := s.bound(); now != before {
		s.Errorf("%d pods were bound, now %d are, though no node takes any", before, now)
	}
	s.scale(many / 2)
	s.cordon(false)
	s.eventually("all run, none twice", func() bool { return s.converged(many / 2) })
	for _, p := range s.pods() {
		for _, c := range p.Status.ContainerStatuses {
			if c.RestartCount != 0 {
				s.Errorf("pod %s was started again", p.Name)
			}
		}
	}
	s.scale(0)
	s.eventually("all of it goes", func() bool { return s.converged(0) })
}

// wake lets a paused leader go on. It must step down, and what it writes until then must be refused.
func (s scene) wake(c *copyOf) {
	s.Helper()
	c.mu.Lock()
	c.refused, c.log = nil, nil // a conflict may happen at any time
	c.mu.Unlock()
	c.signal(s.T, syscall.SIGCONT)
	s.eventually(c.part+" "+c.id+" steps down", func() bool { return c.says("no longer leading") })
	c.mu.Lock()
	defer c.mu.Unlock()
	if all := strings.Join(c.refused, "\n"); !strings.Contains(all, "the lease was lost") {
		s.Errorf("%s %s was refused nothing because it leads no longer; this round proves nothing:\n%s", c.part, c.id, all)
	}
	s.Logf("of %s %s, which had been paused, %d writes were refused", c.part, c.id, len(c.refused))
}

func (s scene) bound() (n int) {
	s.Helper()
	for _, p := range s.pods() {
		if p.Spec.NodeName != "" {
			n++
		}
	}
	return n
}

// cordon says whether nodes take no new pods.
func (s scene) cordon(closed bool) {
	s.Helper()
	for i := range nodes {
		patch := fmt.Sprintf(`{"spec":{"unschedulable":%t}}`, closed)
		if _, err := api.Nodes.Patch(s.Context(), s.svc, api.Key{Name: fmt.Sprint("n", i+1)}, "", types.MergePatchType, []byte(patch)); err != nil {
			s.Fatal(err)
		}
	}
}
