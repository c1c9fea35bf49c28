package e2e

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"

	"optimist/agent/network"
	"optimist/agent/node"
	"optimist/agent/runtime/sim"
	"optimist/apiserver/registry"
	"optimist/apiserver/store/memory"
	"optimist/ctl/inprocess"
	"optimist/internal/api"
	"optimist/internal/api/apitest"
)

// BenchmarkThousandPods measures how long one Deployment of 1,000 pods takes to become available on 100 simulated nodes, in one process
// and in real time:
//
//	go test ./e2e -run '^$' -bench ThousandPods -benchtime 1x -cpuprofile cpu.out
func BenchmarkThousandPods(b *testing.B) {
	for range b.N {
		ctx, cancel := context.WithCancel(b.Context())
		svc, ended := hundredNodes(b, ctx)
		begin := time.Now()
		d := apitest.Object(b, web).(*appsv1.Deployment)
		thousand := int32(1000)
		d.Spec.Replicas = &thousand
		if _, err := api.Deployments.Create(ctx, svc, d); err != nil {
			b.Fatal(err)
		}
		available(b, ctx, svc, thousand)
		b.ReportMetric(time.Since(begin).Seconds(), "s/rollout")
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			b.Fatal(err)
		}
	}
}

// hundredNodes starts a cluster and returns when all its nodes can take pods.
func hundredNodes(b *testing.B, ctx context.Context) (api.Service, <-chan error) {
	b.Helper()
	c := inprocess.Config{Store: memory.New(), Log: slog.New(slog.DiscardHandler),
		Ranges: registry.Ranges{ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"), ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16"), NodeBits: 24}}
	for i := range 100 {
		c.Nodes = append(c.Nodes, inprocess.Node{Name: fmt.Sprintf("n%d", i+1), Runtime: sim.New(), Network: &network.Loopback{}, Capacity: node.Simulated()})
	}
	cluster, err := inprocess.New(c)
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cluster.Run(ctx) }()
	ready := map[string]bool{}
	watch(b, ctx, cluster.Service(), api.Target{Kind: api.NodeKind}, nil, func(o api.Object) bool {
		if api.NodeReady(o.(*corev1.Node)) {
			ready[o.GetName()] = true
		}
		return len(ready) == len(c.Nodes)
	})
	return cluster.Service(), ended
}

func available(b *testing.B, ctx context.Context, svc api.Service, pods int32) {
	b.Helper()
	watch(b, ctx, svc, api.Target{Kind: api.DeploymentKind}, fields.OneTermEqualSelector("metadata.name", "web"), func(o api.Object) bool {
		return o.(*appsv1.Deployment).Status.AvailableReplicas == pods
	})
}

// watch looks at every state of the objects until one of them will do.
func watch(b *testing.B, ctx context.Context, svc api.Service, t api.Target, f fields.Selector, enough func(api.Object) bool) {
	b.Helper()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	batches, err := svc.Watch(ctx, t, api.WatchOptions{Initial: true, Fields: f})
	if err != nil {
		b.Fatal(err)
	}
	for events, err := range batches {
		if err != nil {
			b.Fatal(err)
		}
		for _, e := range events {
			if e.Object != nil && enough(e.Object) {
				return
			}
		}
	}
	b.Fatal("not within five minutes")
}
