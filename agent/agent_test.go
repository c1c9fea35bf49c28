package agent

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"optimist/agent/network"
	"optimist/agent/node"
	"optimist/agent/runtime"
	"optimist/agent/runtime/sim"
	"optimist/apiserver/registry"
	"optimist/apiserver/registry/kinds"
	"optimist/apiserver/store/memory"
	"optimist/internal/api"
	"optimist/internal/api/apitest"
)

// cluster is an API server's registry and one simulated node.
type cluster struct {
	*testing.T
	service api.Service
	runtime *sim.Runtime
	network *network.Loopback
}

// inCluster runs a test in a bubble with a registry and nothing else.
func inCluster(t *testing.T, test func(c *cluster)) {
	synctest.Test(t, func(t *testing.T) {
		inRegistry(&cluster{T: t, runtime: sim.New(), network: &network.Loopback{}}, test)
	})
}

// inRegistry gives a cluster an empty API server for the time of a test.
func inRegistry(like *cluster, test func(c *cluster)) {
	s := memory.New()
	reg, err := registry.New(s, registry.Options{Rules: kinds.All(), Ranges: registry.Ranges{
		ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"), NodeBits: 24, ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16")}})
	if err != nil {
		like.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- reg.Run(ctx) }()
	synctest.Wait() // for the namespaces that every cluster has
	test(&cluster{T: like.T, service: apitest.Detect(like.T, as{reg}), runtime: like.runtime, network: like.network})
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		like.Error(err)
	}
	if err := s.Close(); err != nil {
		like.Error(err)
	}
}

// as speaks as an administrator, whatever the context says.
type as struct{ api.Service }

func (a as) Write(ctx context.Context, r api.Request) (api.Result, error) {
	return a.Service.Write(api.WithUser(ctx, api.User{Name: "admin", Groups: []string{api.GroupMasters}}), r)
}

// agent starts an agent and returns how to kill it.
func (c *cluster) agent(r runtime.Runtime) (kill func()) {
	p := c.process(c.service, r)
	return p.kill
}

// process is a running agent.
type process struct {
	c     *cluster
	stop  context.CancelFunc
	ended chan error
}

func (p *process) kill() {
	p.stop()
	if err := <-p.ended; err != nil {
		p.c.Error(err)
	}
}

func (c *cluster) process(service api.Service, r runtime.Runtime) *process {
	ctx, cancel := context.WithCancel(context.Background())
	a := New(Config{Service: service, Node: "n1", Runtime: r, Network: c.network, Address: "192.0.2.1",
		Capacity: node.Simulated(), Log: slog.New(slog.NewTextHandler(c.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))})
	p := &process{c: c, stop: cancel, ended: make(chan error, 1)}
	go func() { p.ended <- a.Run(ctx) }()
	synctest.Wait()
	return p
}

func (c *cluster) create(manifest string) *corev1.Pod {
	c.Helper()
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict([]byte(manifest), &pod); err != nil {
		c.Fatal(err)
	}
	pod.Namespace = "default"
	pod.Spec.NodeName = "n1"
	made, err := api.Pods.Create(c.Context(), c.service, &pod)
	if err != nil {
		c.Fatal(err)
	}
	return made
}

func (c *cluster) pod(name string) *corev1.Pod {
	c.Helper()
	pod, err := api.Pods.Get(c.Context(), c.service, api.Key{Namespace: "default", Name: name})
	if err != nil {
		c.Fatal(err)
	}
	return pod
}

func advance(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestANodeRegistersAndLives(t *testing.T) {
	inCluster(t, func(c *cluster) {
		defer c.agent(c.runtime)()
		advance(time.Second)
		n, err := api.Nodes.Get(c.Context(), c.service, api.Key{Name: "n1"})
		if err != nil {
			t.Fatal(err)
		}
		if n.Labels["kubernetes.io/hostname"] != "n1" || n.Status.NodeInfo.ContainerRuntimeVersion != "sim://1.0.0" || n.Status.Allocatable.Pods().Value() != 110 {
			t.Errorf("node = %+v", n)
		}
		if !api.NodeReady(n) {
			t.Errorf("not ready: %+v", n.Status.Conditions)
		}
		before := c.lease()
		advance(11 * time.Second)
		if after := c.lease(); !after.After(before) {
			t.Errorf("the lease was not renewed: %v, then %v", before, after)
		}
	})
}

func TestANodeInsistsThatItLives(t *testing.T) {
	inCluster(t, func(c *cluster) {
		defer c.agent(c.runtime)()
		advance(time.Second)
		key := api.Key{Name: "n1"}
		unknown := `{"status": {"conditions": [{"type": "Ready", "status": "Unknown"}, {"type": "Foreign", "status": "True"}]}}`
		if _, err := api.Nodes.Patch(c.Context(), c.service, key, "status", types.StrategicMergePatchType, []byte(unknown)); err != nil {
			t.Fatal(err)
		}
		advance(time.Second)
		if got := c.conditions(); got["Ready"] != corev1.ConditionTrue || got["Foreign"] != corev1.ConditionTrue {
			t.Errorf("conditions = %v", got)
		}
		if err := api.Nodes.Delete(c.Context(), c.service, key, api.Options{}); err != nil {
			t.Fatal(err)
		}
		advance(time.Second)
		if got := c.conditions(); got["Ready"] != corev1.ConditionTrue {
			t.Errorf("after its deletion: %v", got)
		}
	})
}

func (c *cluster) conditions() map[corev1.NodeConditionType]corev1.ConditionStatus {
	c.Helper()
	n, err := api.Nodes.Get(c.Context(), c.service, api.Key{Name: "n1"})
	if err != nil {
		c.Fatal(err)
	}
	all := map[corev1.NodeConditionType]corev1.ConditionStatus{}
	for _, cond := range n.Status.Conditions {
		all[cond.Type] = cond.Status
	}
	return all
}

// down is a runtime that does not answer.
type down struct{ runtime.Runtime }

func (down) Version(context.Context) (string, error) { return "", errors.New("connection refused") }

func TestANodeWithoutItsRuntimeIsNotReady(t *testing.T) {
	inCluster(t, func(c *cluster) {
		defer c.agent(down{c.runtime})()
		advance(time.Second)
		if got := c.conditions(); got["Ready"] != corev1.ConditionFalse {
			t.Errorf("conditions = %v", got)
		}
	})
}

func (c *cluster) lease() time.Time {
	c.Helper()
	l, err := api.Leases.Get(c.Context(), c.service, api.Key{Namespace: "kube-node-lease", Name: "n1"})
	if err != nil {
		c.Fatal(err)
	}
	return l.Spec.RenewTime.Time
}

func TestAPodRunsAndIsDeleted(t *testing.T) {
	inCluster(t, func(c *cluster) {
		defer c.agent(c.runtime)()
		c.create(`{metadata: {name: web}, spec: {containers: [{name: web, image: nginx}]}}`)
		advance(time.Second)
		pod := c.pod("web")
		if pod.Status.Phase != corev1.PodRunning || !pod.Status.ContainerStatuses[0].Ready || pod.Status.PodIP == "" {
			t.Fatalf("status = %+v", pod.Status)
		}
		if err := api.Pods.Delete(c.Context(), c.service, api.KeyOf(pod), api.Options{}); err != nil {
			t.Fatal(err)
		}
		advance(time.Second)
		if _, err := api.Pods.Get(c.Context(), c.service, api.KeyOf(pod)); err == nil {
			t.Errorf("the pod is still there: %+v", c.pod("web"))
		}
		if state, _ := c.runtime.State(c.Context()); len(state) != 0 {
			t.Errorf("left over: %+v", state)
		}
	})
}
