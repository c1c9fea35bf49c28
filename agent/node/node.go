package node

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	goruntime "runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"optimist/internal/api"
	"optimist/internal/event"
	"optimist/internal/informer"
	"optimist/internal/wake"
)

const (
	lookEvery   = 10 * time.Second // at runtime and status
	reportEvery = 5 * time.Minute  // even when nothing has changed
	soon        = time.Second      // after a failure
)

// Config says what the node is.
type Config struct {
	Service  api.Service
	Nodes    informer.Reader[*corev1.Node] // has at least the own one
	Name     string
	Address  string
	Find     func(current string) string // the address now; nil = it stays
	Labels   map[string]string
	Capacity corev1.ResourceList
	Version  func(ctx context.Context) (string, error) // of the container runtime; an error makes the node not ready
	Events   *event.Recorder                           // may be nil
	Log      *slog.Logger
}

// Keeper keeps the Node and its Lease.
type Keeper struct {
	config Config
	wake   wake.Bell
	wired  atomic.Bool  // the pod network is set up
	at     atomic.Value // string: the address
	reach  atomic.Pointer[corev1.NodeCondition]
	held   *coordinationv1.Lease // owned by the renewals; nil = to be read first
}

// New makes the keeper; Run starts it.
func New(c Config) *Keeper {
	k := &Keeper{config: c, wake: wake.New()}
	k.at.Store(c.Address)
	return k
}

// Address is the node's now.
func (k *Keeper) Address() string { return k.at.Load().(string) }

// InternalIP is the address that a Node tells; "" = none.
func InternalIP(n *corev1.Node) string {
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			return a.Address
		}
	}
	return ""
}

// Reach has the node say NetworkUnavailable, or that it is not.
func (k *Keeper) Reach(c corev1.NodeCondition) {
	if before := k.reach.Swap(&c); before == nil || *before != c {
		k.Wake()
	}
}

// Wake makes the keeper look at once: the Node has changed.
func (k *Keeper) Wake() { k.wake.Ring() }

// Wired tells that pods can be given addresses; before, the node is not ready.
func (k *Keeper) Wired() {
	k.wired.Store(true)
	k.Wake()
}

// Register makes the Node, or finds it. It tries until ctx ends.
func (k *Keeper) Register(ctx context.Context) error {
	for {
		err := k.register(ctx)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		k.config.Log.Warn("cannot register the node; trying again", "node", k.config.Name, "error", err)
		_ = wake.After(ctx, soon, nil)
	}
}

func (k *Keeper) register(ctx context.Context) error {
	own := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: k.config.Name, Labels: k.labels()}}
	_, err := api.Nodes.Create(ctx, k.config.Service, own)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	n, err := api.Nodes.Get(ctx, k.config.Service, api.Key{Name: k.config.Name})
	if err != nil {
		return err
	}
	labelled := n.DeepCopy()
	metav1.SetMetaDataLabel(&labelled.ObjectMeta, corev1.LabelHostname, k.config.Name)
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
	for ctx.Err() == nil {
		if err := k.Step(ctx); err != nil && ctx.Err() == nil {
			k.config.Log.Warn("cannot report the node's status; trying again", "node", k.config.Name, "error", err)
		}
		_ = wake.After(ctx, lookEvery, k.wake)
	}
	return nil
}

// Step compares the Node with the machine once, and patches what differs.
func (k *Keeper) Step(ctx context.Context) error {
	n, ok := k.config.Nodes.Get(api.Key{Name: k.config.Name})
	if !ok {
		return k.register(ctx) // somebody deleted it
	}
	if k.config.Find != nil {
		if old, found := k.Address(), k.config.Find(k.Address()); found != old {
			k.config.Log.Info("the node has another address", "node", k.config.Name, "was", old, "is", found)
			k.at.Store(found)
		}
	}
	now := time.Now()
	want := n.DeepCopy()
	k.describe(ctx, want, now)
	if apiequality.Semantic.DeepEqual(want.Status, n.Status) && now.Sub(condition(&want.Status, corev1.NodeReady).LastHeartbeatTime.Time) < reportEvery {
		return nil
	}
	for i, c := range want.Status.Conditions {
		if slices.Contains(own, c.Type) {
			want.Status.Conditions[i].LastHeartbeatTime = metav1.NewTime(now.Truncate(time.Second))
		}
	}
	if err := k.patch(ctx, n, want, "status"); err != nil {
		return err
	}
	k.tell(ctx, n, want)
	return nil
}

// tell says that the node has become ready, or ceased to be; not what it is when it is new.
func (k *Keeper) tell(ctx context.Context, before, after *corev1.Node) {
	was, is := condition(before.Status.DeepCopy(), corev1.NodeReady).Status, condition(&after.Status, corev1.NodeReady).Status
	if k.config.Events == nil || was == "" || was == is {
		return
	}
	reason := "NodeNotReady"
	if is == corev1.ConditionTrue {
		reason = "NodeReady"
	}
	k.config.Events.Event(ctx, after, corev1.EventTypeNormal, reason, "Node "+k.config.Name+" status is now: "+reason)
}

// patch writes the difference of two states.
func (k *Keeper) patch(ctx context.Context, before, after *corev1.Node, sub string) error {
	old, _ := json.Marshal(before) // of typed objects these never fail
	now, _ := json.Marshal(after)
	patch, err := strategicpatch.CreateTwoWayMergePatch(old, now, &corev1.Node{})
	if err == nil && string(patch) != "{}" {
		_, err = api.Nodes.Patch(ctx, k.config.Service, api.Key{Name: k.config.Name}, sub, types.StrategicMergePatchType, patch)
	}
	return err
}

// describe sets the part of a Node's status that is the agent's.
func (k *Keeper) describe(ctx context.Context, n *corev1.Node, now time.Time) {
	s := &n.Status
	s.Capacity, s.Allocatable = k.config.Capacity, k.config.Capacity
	s.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: k.Address()}, {Type: corev1.NodeHostName, Address: k.config.Name}}
	version, err := k.config.Version(ctx)
	if err == nil {
		s.NodeInfo = machine()
		s.NodeInfo.OperatingSystem, s.NodeInfo.Architecture = goruntime.GOOS, goruntime.GOARCH
		s.NodeInfo.ContainerRuntimeVersion, s.NodeInfo.KubeletVersion = version, kubernetesVersion
	}
	for _, c := range append(pressures, k.readiness(err)) {
		setCondition(s, c, now)
	}
	if c := k.reach.Load(); c != nil {
		setCondition(s, *c, now)
	}
}

// kubernetesVersion is the one whose behaviour this agent follows.
const kubernetesVersion = "v1.37.2+optimist" // as the API server says of itself

// own are the conditions that this agent answers for.
var own = []corev1.NodeConditionType{corev1.NodeReady, corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure, corev1.NodeNetworkUnavailable}

var pressures = []corev1.NodeCondition{
	{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientMemory", Message: "kubelet has sufficient memory available"},
	{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasNoDiskPressure", Message: "kubelet has no disk pressure"},
	{Type: corev1.NodePIDPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientPID", Message: "kubelet has sufficient PID available"},
}

func (k *Keeper) readiness(runtime error) corev1.NodeCondition {
	c := corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Reason: "KubeletNotReady"}
	switch {
	case runtime != nil:
		c.Message = "container runtime is down: " + runtime.Error()
	case !k.wired.Load():
		c.Message = "container runtime network not ready: the node waits for its podCIDR"
	default:
		c.Status, c.Reason, c.Message = corev1.ConditionTrue, "KubeletReady", "kubelet is posting ready status"
	}
	return c
}

// condition finds one, or adds it.
func condition(s *corev1.NodeStatus, t corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == t {
			return &s.Conditions[i]
		}
	}
	s.Conditions = append(s.Conditions, corev1.NodeCondition{Type: t})
	return &s.Conditions[len(s.Conditions)-1]
}

// setCondition keeps the times of a condition that stays as it is.
func setCondition(s *corev1.NodeStatus, c corev1.NodeCondition, now time.Time) {
	old := condition(s, c.Type)
	c.LastHeartbeatTime, c.LastTransitionTime = old.LastHeartbeatTime, old.LastTransitionTime
	if old.Status != c.Status {
		c.LastTransitionTime = metav1.NewTime(now.Truncate(time.Second))
	}
	*old = c
}
