package agent

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/network"
	"optimist/agent/node"
	"optimist/internal/api"
)

// roads is a network whose ways are open or not.
type roads struct {
	network.Loopback
	peers  atomic.Pointer[[]network.Peer]
	closed atomic.Bool
	stuck  atomic.Bool
}

func (r *roads) Peers(_ context.Context, p []network.Peer) error {
	p = slices.Clone(p)
	r.peers.Store(&p)
	if r.stuck.Load() {
		return errors.New("no routes to be had")
	}
	return nil
}

func (r *roads) Probe(context.Context) error {
	if r.closed.Load() {
		return errors.New("let UDP port 4789 in")
	}
	return nil
}

func TestRoutesAndWhatTheNodeSaysOfThem(t *testing.T) {
	inCluster(t, func(c *cluster) {
		t := c.T
		var r roads
		ctx, cancel := context.WithCancel(t.Context())
		a := New(Config{Service: c.service, Node: "n1", Runtime: c.runtime, Network: &r, Address: "192.0.2.1", Capacity: node.Simulated(), Wired: true,
			Log: slog.New(slog.DiscardHandler)})
		ended := make(chan error, 1)
		go func() { ended <- a.Run(ctx) }()
		synctest.Wait()
		says := func(want corev1.ConditionStatus, why string) {
			t.Helper()
			n, err := api.Nodes.Get(t.Context(), c.service, api.Key{Name: "n1"})
			if err != nil {
				t.Fatal(err)
			}
			var got corev1.NodeCondition
			for _, c := range n.Status.Conditions {
				if c.Type == corev1.NodeNetworkUnavailable {
					got = c
				}
			}
			if got.Status != want || want == corev1.ConditionTrue && got.Message != why || got.LastTransitionTime.IsZero() {
				t.Errorf("NetworkUnavailable is %+v, want %s: %s", got, want, why)
			}
		}
		advance(time.Second)
		says(corev1.ConditionFalse, "")
		n2, err := api.Nodes.Create(t.Context(), c.service, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n2"}})
		if err != nil {
			t.Fatal(err)
		}
		patch := []byte(`{"status":{"addresses":[{"type":"InternalIP","address":"192.0.2.2"}],"conditions":[{"type":"Ready","status":"True"}]}}`)
		if _, err := api.Nodes.Patch(t.Context(), c.service, api.KeyOf(n2), "status", types.StrategicMergePatchType, patch); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // no time passes
		if got := *r.peers.Load(); len(got) != 1 || got[0].Name != "n2" || got[0].Address.String() != "192.0.2.2" || got[0].PodCIDR.String() != n2.Spec.PodCIDR || !got[0].Ready {
			t.Errorf("peers: %+v", got)
		}
		for _, step := range []struct {
			closed, stuck bool
			after         time.Duration
			status        corev1.ConditionStatus
			says          string
		}{
			{true, false, 45 * time.Second, corev1.ConditionFalse, ""},
			{true, false, 30 * time.Second, corev1.ConditionTrue, "let UDP port 4789 in"},
			{false, false, 11 * time.Second, corev1.ConditionFalse, ""},
			{false, true, 75 * time.Second, corev1.ConditionTrue, "no routes to be had"},
			{false, false, 11 * time.Second, corev1.ConditionFalse, ""},
		} {
			r.closed.Store(step.closed)
			r.stuck.Store(step.stuck)
			advance(step.after)
			says(step.status, step.says)
		}
		if err := api.Nodes.Delete(t.Context(), c.service, api.KeyOf(n2), api.Options{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := *r.peers.Load(); len(got) != 0 {
			t.Errorf("peers: %+v", got)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// The address of a machine that moves: the Node and the Pods on it tell the new one.
func TestTheNodeFollowsItsAddress(t *testing.T) {
	inCluster(t, func(c *cluster) {
		t := c.T
		var at atomic.Value
		at.Store("192.0.2.1")
		ctx, cancel := context.WithCancel(t.Context())
		a := newAgent(Config{Service: c.service, Node: "n1", Runtime: c.runtime, Network: c.network, Address: "192.0.2.1", Capacity: node.Simulated(),
			Log: slog.New(slog.DiscardHandler)}, func(string) string { return at.Load().(string) })
		ended := make(chan error, 1)
		go func() { ended <- a.Run(ctx) }()
		synctest.Wait()
		c.create(`{metadata: {name: web}, spec: {hostNetwork: true, containers: [{name: c, image: web}]}}`)
		advance(time.Minute)
		at.Store("192.0.2.9")
		advance(12 * time.Second)
		n, err := api.Nodes.Get(t.Context(), c.service, api.Key{Name: "n1"})
		if err != nil || node.InternalIP(n) != "192.0.2.9" {
			t.Errorf("the Node has %s, %v", node.InternalIP(n), err)
		}
		if s := c.pod("web").Status; s.HostIP != "192.0.2.9" || s.PodIP != "192.0.2.9" {
			t.Errorf("the pod has %s on %s", s.PodIP, s.HostIP)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
