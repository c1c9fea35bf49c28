package e2e

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	appsv1 "k8s.io/api/apps/v1"

	"optimist/agent/network"
	"optimist/agent/node"
	"optimist/agent/runtime/sim"
	"optimist/apiserver/registry"
	"optimist/apiserver/store"
	"optimist/apiserver/store/memory"
	"optimist/ctl/inprocess"
	"optimist/internal/api"
	"optimist/internal/api/apitest"
	wire "optimist/proto"
)

const web = `{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: default, name: web}, spec: {replicas: 4, selector: {matchLabels: {a: b}},
  template: {metadata: {labels: {a: b}}, spec: {terminationGracePeriodSeconds: 1, containers: [{name: c, image: "web:1"}]}}}}`

// TestEveryWriteHasItsCauses holds law 7: whatever the cluster writes after somebody has changed a Deployment leads back to that change.
func TestEveryWriteHasItsCauses(t *testing.T) {
	inBubble(t, 2, func(s store.Store, svc api.Service) {
		rollOut(t, svc)
		changed := update(t, svc, func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "web:2" })
		time.Sleep(time.Minute)
		from := map[api.Revision]bool{changed: true} // what follows from the change
		for _, e := range journal(t, s) {
			if e.revision <= changed || !e.ofAComponent() || e.alive() {
				continue
			}
			for _, c := range e.note.GetCauses().GetEdges() {
				if api.Revision(c.Revision) >= e.revision {
					t.Errorf("%s is said to follow from %d, which had not happened yet", e, c.Revision)
				}
				from[e.revision] = from[e.revision] || from[api.Revision(c.Revision)]
			}
			if !from[e.revision] {
				t.Errorf("%s follows from %v: nothing leads back to the change at %d", e, e.note.GetCauses().GetEdges(), changed)
			}
		}
		if len(from) < 40 {
			t.Errorf("only %d writes followed from a rollout of four pods", len(from))
		}
	})
}

// TestSettledClusterIsSilent: once everything is as it should be, nobody writes anything but signs of life. Two who undo each other's work, or
// one who is never content with his own, would.
func TestSettledClusterIsSilent(t *testing.T) {
	inBubble(t, 2, func(s store.Store, svc api.Service) {
		rollOut(t, svc)
		settled, err := s.Now(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Minute)
		for _, e := range journal(t, s) {
			if e.revision > api.Revision(settled) && !e.alive() {
				t.Errorf("%s although nothing had happened", e)
			}
		}
	})
}

func rollOut(t *testing.T, svc api.Service) {
	t.Helper()
	if _, err := api.Deployments.Create(t.Context(), svc, apitest.Object(t, web).(*appsv1.Deployment)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
	d, err := api.Deployments.Get(t.Context(), svc, api.Key{Namespace: "default", Name: "web"})
	if err != nil || d.Status.AvailableReplicas != 4 {
		t.Fatal("after a minute there are not four pods:", err, d)
	}
}

func update(t *testing.T, svc api.Service, change func(*appsv1.Deployment)) api.Revision {
	t.Helper()
	d, err := api.Deployments.Get(t.Context(), svc, api.Key{Namespace: "default", Name: "web"})
	if err == nil {
		d = d.DeepCopy()
		change(d)
		d, err = api.Deployments.Update(t.Context(), svc, d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return api.RevisionOf(d)
}

// inBubble runs a story on a cluster of some nodes, in fake time.
func inBubble(t *testing.T, nodes int, story func(store.Store, api.Service)) {
	t.Setenv("OPTIMIST_DETECT_MUTATIONS", "1")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := inprocess.Config{Store: memory.New(), Log: slog.New(slog.DiscardHandler),
			Ranges: registry.Ranges{ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"), ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16"), NodeBits: 24}}
		for i := range nodes {
			c.Nodes = append(c.Nodes, inprocess.Node{Name: fmt.Sprintf("n%d", i+1), Runtime: sim.New(), Network: &network.Loopback{}, Capacity: node.Simulated()})
		}
		cluster, err := inprocess.New(c)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cluster.Run(ctx) }()
		time.Sleep(10 * time.Second)
		defer func() {
			cancel()
			if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}()
		story(c.Store, cluster.Service())
	})
}

// entry is one write in the journal.
type entry struct {
	revision api.Revision
	note     *wire.Note
}

func (e entry) String() string {
	to := e.note.GetTarget()
	return fmt.Sprintf("revision %d (%s: %s %s %s %s)", e.revision, e.note.GetUser(), e.note.GetVerb(), to.GetKind(), to.GetName(), to.GetSub())
}

// ofAComponent: people and the API server itself need no cause.
func (e entry) ofAComponent() bool {
	return slices.ContainsFunc([]string{api.UserScheduler, api.UserControllers, api.ControllerPrefix, api.NodePrefix}, func(p string) bool {
		return strings.HasPrefix(e.note.GetUser(), p)
	})
}

// alive: leases and the status of Nodes are renewed because time passes.
func (e entry) alive() bool {
	k := e.note.GetTarget().GetKind()
	return k == api.LeaseKind.Name || k == api.NodeKind.Name && e.note.GetTarget().GetSub() == "status"
}

// journal is everything that was written up to now.
func journal(t *testing.T, s store.Store) []entry {
	t.Helper()
	now, err := s.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	batches, err := s.Watch(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []entry
	for b, err := range batches {
		e := entry{api.Revision(b.Revision), &wire.Note{}}
		if err == nil {
			err = proto.Unmarshal(b.Note, e.note)
		}
		if err != nil {
			t.Fatal(err)
		}
		if all = append(all, e); b.Revision >= now {
			break
		}
	}
	return all
}
