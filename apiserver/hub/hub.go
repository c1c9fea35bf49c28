// Package hub knows the kept connections: which component can be asked right now, and by which connector.
//
//	agent n1 ── kept connection ──▶ door/grpc ── Register("system:node:n1", connector) ──▶ Hub ◀── Dial("system:node:n1") ── registry
//
// A component may be there several times: two schedulers, of which one leads, or an agent whose old connection has not yet been noticed to
// be dead. The newest answers; when it goes, the one before it does again.
//
// Invariants: a component's connections are bounded (the oldest is forgotten); Dial never waits.
//
// Real Kubernetes' API server dials each kubelet by the address in its Node's status, so nodes must be reachable; its controller manager and
// scheduler are not asked anything.
package hub

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
)

// most is how many connections of one component are remembered.
const most = 8

// Hub is safe for concurrent use. The zero value is ready.
type Hub struct {
	mu   sync.Mutex
	live map[string][]*entry // newest last
}

type entry struct{ api.Connector }

// Register makes c what Dial finds for a component, until unregister or a newer one.
func (h *Hub) Register(component string, c api.Connector) (unregister func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.live == nil {
		h.live = map[string][]*entry{}
	}
	e := &entry{c}
	all := append(h.live[component], e)
	h.live[component] = all[max(0, len(all)-most):]
	return func() { h.remove(component, e) }
}

func (h *Hub) remove(component string, e *entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(h.live[component]), func(x *entry) bool { return x == e })
	if len(all) == 0 {
		delete(h.live, component)
		return
	}
	h.live[component] = all
}

// Dial returns the newest connector of a component, or ServiceUnavailable.
func (h *Hub) Dial(_ context.Context, component string) (api.Connector, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.live[component]
	if len(all) == 0 {
		return nil, apierrors.NewServiceUnavailable(absent(component))
	}
	return all[len(all)-1].Connector, nil
}

func absent(component string) string {
	if node, ok := strings.CutPrefix(component, api.NodePrefix); ok {
		return fmt.Sprintf("the agent of node %q is not connected to the API server: is it running? (ctl get nodes)", node)
	}
	return fmt.Sprintf("%s is not connected to the API server: is it running? (ctl start brings back what has ended)", strings.TrimPrefix(component, "system:"))
}
