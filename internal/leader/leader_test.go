package leader

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/apiserver/registry"
	"optimist/apiserver/registry/kinds"
	"optimist/apiserver/store/memory"
	"optimist/internal/api"
)

var key = api.Key{Namespace: "kube-system", Name: "optimist-test"}

// serve runs a registry until the test ends.
func serve(t *testing.T) api.Service {
	s := memory.New()
	r, err := registry.New(s, registry.Options{Rules: kinds.All()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-done
		s.Close()
	})
	synctest.Wait()
	return r
}

// cut is a connection that can be cut.
type cut struct {
	api.Service
	down atomic.Bool
}

var errCut = errors.New("no route to host")

func (c *cut) Get(ctx context.Context, t api.Target, o api.GetOptions) (api.Result, error) {
	if c.down.Load() {
		return api.Result{}, errCut
	}
	return c.Service.Get(ctx, t, o)
}

func (c *cut) Watch(context.Context, api.Target, api.WatchOptions) (iter.Seq2[[]api.Event, error], error) {
	return nil, errCut
}

func (c *cut) Write(ctx context.Context, r api.Request) (api.Result, error) {
	if c.down.Load() {
		return api.Result{}, errCut
	}
	return c.Service.Write(ctx, r)
}

// candidate competes until stop, and tells when it leads.
type candidate struct {
	link *cut
	stop context.CancelFunc
	done chan error

	mu   sync.Mutex
	last context.Context // of the last time it led; nil = never
}

func compete(t *testing.T, svc api.Service, id string) *candidate {
	c := &candidate{link: &cut{Service: svc}, done: make(chan error, 1)}
	ctx, stop := context.WithCancel(t.Context())
	c.stop = stop
	go func() {
		c.done <- Run(ctx, Config{Service: c.link, Lease: key, ID: id, Log: slog.New(slog.DiscardHandler)}, func(ctx context.Context) error {
			c.mu.Lock()
			c.last = ctx
			c.mu.Unlock()
			<-ctx.Done()
			return nil
		})
	}()
	t.Cleanup(func() {
		stop()
		<-c.done
	})
	synctest.Wait()
	return c
}

func (c *candidate) leading() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

func (c *candidate) leads() bool { return c.leading() != nil && c.leading().Err() == nil }

func say(ctx context.Context, svc api.Service, name string) error {
	_, err := api.ConfigMaps.Create(ctx, svc, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}})
	return err
}

func TestOneLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := serve(t)
		a, b := compete(t, svc, "a"), compete(t, svc, "b")
		if !a.leads() || b.leads() {
			t.Fatalf("who came first should lead: a %v, b %v", a.leads(), b.leads())
		}
		time.Sleep(time.Hour)
		if !a.leads() || b.leads() {
			t.Fatal("a leader that renews should go on leading")
		}
		a.stop()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !b.leads() {
			t.Fatal("after a release the other should lead within one retry")
		}
	})
}

// A leader that cannot reach the server stops leading before anybody else starts.
func TestCutOffLeaderStopsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := serve(t)
		a, b := compete(t, svc, "a"), compete(t, svc, "b")
		led := a.leading()
		a.link.down.Store(true)
		<-led.Done()
		if stopped := time.Now(); b.leading() != nil {
			t.Fatal("both led at", stopped)
		}
		time.Sleep(20 * time.Second)
		if !b.leads() || a.leads() {
			t.Fatal("the other should lead by now")
		}
	})
}

// A paused leader wakes up believing that it leads. Its write comes late, and is refused.
func TestLateWriteOfAnOldLeaderIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := serve(t)
		a := compete(t, svc, "a")
		if err := say(a.leading(), svc, "in-time"); err != nil {
			t.Fatal("a leader's write should be taken:", err)
		}
		late := context.WithoutCancel(a.leading()) // the write was on its way when the process was paused
		a.link.down.Store(true)
		b := compete(t, svc, "b")
		time.Sleep(20 * time.Second)
		if err := say(late, svc, "late"); !apierrors.IsConflict(err) {
			t.Fatal("a late write should be a conflict, but gave", err)
		}
		if err := say(b.leading(), svc, "of-the-new-leader"); err != nil {
			t.Fatal("the new leader's write should be taken:", err)
		}
	})
}

// The same name coming back (a restart) leads at once, in a new epoch: what the process before it had sent does not get through.
func TestRestartIsANewEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := serve(t)
		a := compete(t, svc, "a")
		old := context.WithoutCancel(a.leading())
		a.link.down.Store(true)
		again := compete(t, svc, "a")
		if !again.leads() {
			t.Fatal("who holds the lease already should not wait for it to expire")
		}
		if err := say(old, svc, "late"); !apierrors.IsConflict(err) {
			t.Fatal("a write from before the restart should be a conflict, but gave", err)
		}
	})
}
