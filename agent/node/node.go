package node

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	goruntime "runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"optimist/internal/api"
)

const (
	lookEvery    = 10 * time.Second // at runtime and status
	reportEvery  = 5 * time.Minute  // even when nothing has changed
	firstPause   = 200 * time.Millisecond
	longestPause = 10 * time.Second
)

// Config says what the node is.
type Config struct {
	Service  api.Service
	Nodes    Nodes
	Name     string
	Address  string
	Labels   map[string]string
	Capacity corev1.ResourceList
	Version  func(ctx context.Context) (string, error) // of the container runtime; an error makes the node not ready
	Log      *slog.Logger
}

// Nodes is a cache that has at least the own Node.
type Nodes interface {
	Get(api.Key) (*corev1.Node, bool)
}

// Keeper keeps the Node and its Lease.
type Keeper struct {
	config Config
	wake   chan struct{} // capacity 1

	mu    sync.Mutex
	wired bool // the pod network is set up
}

// New makes the keeper; Run starts it.
func New(c Config) *Keeper {
	return &Keeper{config: c, wake: make(chan struct{}, 1)}
}

// Wake makes the keeper look at once: the Node has changed.
func (k *Keeper) Wake() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Wired tells that pods can be given addresses; before, the node is not ready.
func (k *Keeper) Wired() {
	k.mu.Lock()
	k.wired = true
	k.mu.Unlock()
	k.Wake()
}

// Register makes the Node, or finds it. It tries until ctx ends.
func (k *Keeper) Register(ctx context.Context) (*corev1.Node, error) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		n, err := k.register(ctx)
		if err == nil {
			return n, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		k.config.Log.Warn("cannot register the node; trying again", "node", k.config.Name, "error", err)
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

func (k *Keeper) register(ctx context.Context) (*corev1.Node, error) {
	own := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: k.config.Name, Labels: k.labels()}}
	n, err := api.Nodes.Create(ctx, k.config.Service, own)
	if !apierrors.IsAlreadyExists(err) {
		return n, err
	}
	if n, err = api.Nodes.Get(ctx, k.config.Service, api.Key{Name: k.config.Name}); err != nil {
		return nil, err
	}
	labelled := n.DeepCopy()
	if labelled.Labels == nil {
		labelled.Labels = map[string]string{}
	}
	maps.Copy(labelled.Labels, k.labels())
	return k.patch(ctx, n, labelled, "")
}

func (k *Keeper) labels() map[string]string {
	all := map[string]string{corev1.LabelHostname: k.config.Name, corev1.LabelOSStable: goruntime.GOOS, corev1.LabelArchStable: goruntime.GOARCH}
	maps.Copy(all, k.config.Labels)
	return all
}

// Run renews the Lease and reports the status until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return k.renewals(ctx) })
	group.Go(func() error { return k.reports(ctx) })
	return group.Wait()
}

func (k *Keeper) reports(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := k.Step(ctx); err != nil && ctx.Err() == nil {
			k.config.Log.Warn("cannot report the node's status; trying again", "node", k.config.Name, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-k.wake:
		}
	}
}

// Step compares the Node with the machine once, and patches what differs.
func (k *Keeper) Step(ctx context.Context) error {
	n, ok := k.config.Nodes.Get(api.Key{Name: k.config.Name})
	if !ok {
		_, err := k.register(ctx) // somebody deleted it
		return err
	}
	now := time.Now()
	want := n.DeepCopy()
	k.describe(ctx, want, now)
	if apiequality.Semantic.DeepEqual(want.Status, n.Status) && now.Sub(heartbeat(n)) < reportEvery {
		return nil
	}
	for i := range want.Status.Conditions {
		if c := &want.Status.Conditions[i]; owned[c.Type] {
			c.LastHeartbeatTime = metav1.NewTime(now.Truncate(time.Second))
		}
	}
	_, err := k.patch(ctx, n, want, "status")
	return err
}

func heartbeat(n *corev1.Node) time.Time {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.LastHeartbeatTime.Time
		}
	}
	return time.Time{}
}

// patch writes the difference of two states.
func (k *Keeper) patch(ctx context.Context, before, after *corev1.Node, sub string) (*corev1.Node, error) {
	old, err := json.Marshal(before)
	if err != nil {
		return nil, err
	}
	now, err := json.Marshal(after)
	if err != nil {
		return nil, err
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(old, now, &corev1.Node{})
	if err != nil || string(patch) == "{}" {
		return before, err
	}
	return api.Nodes.Patch(ctx, k.config.Service, api.Key{Name: k.config.Name}, sub, types.StrategicMergePatchType, patch)
}

// describe sets the part of a Node's status that is the agent's.
func (k *Keeper) describe(ctx context.Context, n *corev1.Node, now time.Time) {
	s := &n.Status
	s.Capacity, s.Allocatable = k.config.Capacity, k.config.Capacity
	s.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: k.config.Address}, {Type: corev1.NodeHostName, Address: k.config.Name}}
	version, err := k.config.Version(ctx)
	if err == nil {
		s.NodeInfo = info(version)
	}
	for _, c := range pressures {
		setCondition(s, c, now)
	}
	setCondition(s, k.readiness(err), now)
}

func info(version string) corev1.NodeSystemInfo {
	i := machine()
	i.OperatingSystem, i.Architecture = goruntime.GOOS, goruntime.GOARCH
	i.ContainerRuntimeVersion = version
	i.KubeletVersion = kubernetesVersion
	return i
}

// kubernetesVersion is the one whose behaviour this agent follows.
const kubernetesVersion = "v1.37.0-optimist"

var pressures = []corev1.NodeCondition{
	{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientMemory", Message: "kubelet has sufficient memory available"},
	{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasNoDiskPressure", Message: "kubelet has no disk pressure"},
	{Type: corev1.NodePIDPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientPID", Message: "kubelet has sufficient PID available"},
}

var owned = map[corev1.NodeConditionType]bool{corev1.NodeReady: true, corev1.NodeMemoryPressure: true, corev1.NodeDiskPressure: true, corev1.NodePIDPressure: true}

func (k *Keeper) readiness(runtime error) corev1.NodeCondition {
	k.mu.Lock()
	wired := k.wired
	k.mu.Unlock()
	c := corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Reason: "KubeletNotReady"}
	switch {
	case runtime != nil:
		c.Message = "container runtime is down: " + runtime.Error()
	case !wired:
		c.Message = "container runtime network not ready: the node waits for its podCIDR"
	default:
		c.Status, c.Reason, c.Message = corev1.ConditionTrue, "KubeletReady", "kubelet is posting ready status"
	}
	return c
}

// setCondition keeps the times of a condition that stays as it is.
func setCondition(s *corev1.NodeStatus, c corev1.NodeCondition, now time.Time) {
	for i := range s.Conditions {
		old := &s.Conditions[i]
		if old.Type != c.Type {
			continue
		}
		c.LastHeartbeatTime, c.LastTransitionTime = old.LastHeartbeatTime, old.LastTransitionTime
		if old.Status != c.Status {
			c.LastTransitionTime = metav1.NewTime(now.Truncate(time.Second))
		}
		*old = c
		return
	}
	c.LastTransitionTime = metav1.NewTime(now.Truncate(time.Second))
	s.Conditions = append(s.Conditions, c)
}

// PodCIDR is the node's share of pod addresses; false while it has none.
func PodCIDR(n *corev1.Node) (netip.Prefix, bool, error) {
	if n == nil || n.Spec.PodCIDR == "" {
		return netip.Prefix{}, false, nil
	}
	p, err := netip.ParsePrefix(n.Spec.PodCIDR)
	if err != nil {
		return p, false, fmt.Errorf("node %s: spec.podCIDR: %w", n.Name, err)
	}
	return p, true, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
