package controllers

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
)

// faulty is a bad connection: requests get lost, answers get lost, watches lag and break.
type faulty struct {
	api.Service
	mu   *sync.Mutex
	dice *rand.Rand
	odds float64
}

var errReset = errors.New("connection reset by peer")

func (f faulty) strikes() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dice.Float64() < f.odds
}

func (f faulty) lag() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Duration(f.dice.IntN(300)) * time.Millisecond
}

func (f faulty) Write(ctx context.Context, r api.Request) (api.Result, error) {
	if f.strikes() {
		return api.Result{}, errReset
	}
	result, err := f.Service.Write(ctx, r)
	if f.strikes() {
		return api.Result{}, errReset
	}
	return result, err
}

func (f faulty) Watch(ctx context.Context, t api.Target, o api.WatchOptions) (iter.Seq2[[]api.Event, error], error) {
	batches, err := f.Service.Watch(ctx, t, o)
	if err != nil {
		return nil, err
	}
	return func(yield func([]api.Event, error) bool) {
		for events, err := range batches {
			if f.strikes() {
				yield(nil, errReset)
				return
			}
			time.Sleep(f.lag())
			if !yield(events, err) {
				return
			}
		}
	}, nil
}

// Law 3: whatever gets lost, and whenever the controllers are killed, the cluster ends up where it would have without that, and on the
// way never more is asked for than the Deployment allows.
func TestChaosChangesNothingAboutWhereTheClusterEnds(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			withoutControllers(t, func(c cluster) {
				dice := rand.New(rand.NewPCG(seed, 1))
				bad := func(s api.Service) api.Service {
					return faulty{s, &sync.Mutex{}, rand.New(rand.NewPCG(seed, 2)), 0.15}
				}
				c.apply(web)
				c.killing(bad, dice, 4, c.notTooMany)
				c.patch(api.DeploymentKind, "web", secondImage)
				c.killing(bad, dice, 8, c.notTooMany)
				c.patch(api.DeploymentKind, "web", `{"spec":{"replicas":5}}`)
				c.killing(bad, dice, 4, c.notTooMany)
				stop := c.controllers(directly)
				c.advance(5 * time.Minute)
				c.available(5)
				if n, sets := len(list(c, api.Pods, "default")), len(list(c, api.ReplicaSets, "default")); n != 5 || sets > 2 {
					c.Fatalf("%d pods of %d ReplicaSets", n, sets)
				}
				stop()

				if err := api.Deployments.Delete(c.Context(), c.svc, api.Key{Namespace: "default", Name: "web"}, api.Options{Propagation: how(seed)}); err != nil {
					c.Fatal(err)
				}
				c.killing(bad, dice, 4, func() {})
				c.controllers(directly)
				c.advance(5 * time.Minute)
				if n := len(list(c, api.Deployments, "default")) + len(list(c, api.ReplicaSets, "default")) + len(list(c, api.Pods, "default")); n != 0 {
					c.Fatalf("%d objects survived their owner", n)
				}
			})
		})
	}
}

func how(seed uint64) metav1.DeletionPropagation {
	if seed%2 == 0 {
		return metav1.DeletePropagationForeground
	}
	return metav1.DeletePropagationBackground
}

// killing lets the controllers live for a few short lives, and checks all the while.
func (c cluster) killing(through func(api.Service) api.Service, dice *rand.Rand, lives int, check func()) {
	for range lives {
		stop := c.controllers(through)
		for range dice.IntN(60) {
			c.advance(time.Duration(dice.IntN(200)) * time.Millisecond)
			check()
		}
		stop()
	}
}

// notTooMany checks that the ReplicaSets together ask for no more than the surge allows, and that none has more Pods than it can ever have
// asked for: nothing was created twice.
func (c cluster) notTooMany() {
	c.Helper()
	want := *c.deployment().Spec.Replicas
	limit := want + 2 // a surge of 25 %, rounded up
	var asked int32
	for _, s := range list(c, api.ReplicaSets, "default") {
		asked += *s.Spec.Replicas
	}
	if asked > limit {
		c.Fatalf("%d pods are asked for, at most %d are allowed", asked, limit)
	}
	pods := map[string]int32{}
	for _, p := range list(c, api.Pods, "default") {
		if ref := metav1.GetControllerOf(p); ref != nil && p.DeletionTimestamp == nil {
			pods[ref.Name]++
		}
	}
	for name, n := range pods {
		if n > want {
			c.Fatalf("%s has %d pods, though at most %d were ever asked for", name, n, want)
		}
	}
}

// late is a connection on which the watch of one kind is behind all others.
type late struct {
	api.Service
	kind *api.Kind
}

func (l late) Watch(ctx context.Context, t api.Target, o api.WatchOptions) (iter.Seq2[[]api.Event, error], error) {
	batches, err := l.Service.Watch(ctx, t, o)
	if err != nil || !t.Kind.Is(l.kind) {
		return batches, err
	}
	return func(yield func([]api.Event, error) bool) {
		for events, err := range batches {
			if time.Sleep(5 * time.Second); !yield(events, err) {
				return
			}
		}
	}, nil
}

// What was made in a namespace just before its end goes with it, also if the watch of its kind is late. (Seed 1059 of the simulation.)
func TestANamespaceDoesNotGoBeforeAllWatchesHaveTold(t *testing.T) {
	withoutControllers(t, func(c cluster) {
		c.controllers(func(s api.Service) api.Service { return late{s, api.ConfigMapKind} })
		c.advance(time.Minute)
		c.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}")
		c.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: last, namespace: shop}")
		if err := api.Namespaces.Delete(c.Context(), c.svc, api.Key{Name: "shop"}, api.Options{}); err != nil {
			c.Fatal(err)
		}
		c.advance(time.Minute)
		if left := list(c, api.ConfigMaps, "shop"); len(left) > 0 {
			c.Fatal("the namespace is gone, but not what was in it:", left[0].Name)
		}
		if _, err := api.Namespaces.Get(c.Context(), c.svc, api.Key{Name: "shop"}); !apierrors.IsNotFound(err) {
			c.Fatal("the namespace should be gone:", err)
		}
	})
}
