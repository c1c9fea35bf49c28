package proxy

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"optimist/internal/api"
	"optimist/internal/informer"
)

// Table is where Services are programmed: one nft table, or a map in tests.
type Table interface {
	// Write makes all of the delta true in one transaction, or nothing. Anew, the table then holds just what is added, whatever was there; only who sticks
	// to which backend is kept.
	Write(d Delta, anew bool) error
	// Intact reports whether the table still is as it was written, and holds this.
	Intact(Model) (bool, error)
	// Forget drops what the kernel has tracked of these UDP frontends, but not what goes to a frontend's backend that is named too (see book.flows).
	Forget(flows map[string]bool) error
	// Remove takes the table away, if there is one.
	Remove() error
}

const (
	resync = 30 * time.Second
	retry  = time.Second
	index  = "service" // of slices: the Service that they are of
)

// Proxy keeps one node's table in step with Services and EndpointSlices.
type Proxy struct {
	table    Table
	node     string
	dns      netip.Addr
	log      *slog.Logger
	services informer.Reader[*corev1.Service]
	slices   informer.Reader[*discoveryv1.EndpointSlice]
	news     chan struct{} // capacity 1
	mu       sync.Mutex
	dirty    map[api.Key]bool // guarded by mu: Services to plan again
	book     *book            // Run's, as the next
	built    bool             // the table holds what the book says
}

// New watches what a node's Proxy needs; call it before the set runs.
func New(t Table, set *informer.Set, node string, dns netip.Addr, log *slog.Logger) *Proxy {
	p := &Proxy{table: t, node: node, dns: dns, log: log, news: make(chan struct{}, 1), dirty: map[api.Key]bool{}, book: newBook()}
	p.services = informer.Watch(set, api.Services, informer.Options[*corev1.Service]{})
	p.slices = informer.Watch(set, api.EndpointSlices, informer.Options[*discoveryv1.EndpointSlice]{
		Index: map[string]func(*discoveryv1.EndpointSlice) []string{index: func(s *discoveryv1.EndpointSlice) []string { return []string{serviceOf(s).String()} }}})
	set.Listen(api.ServiceKind, func(ch informer.Change) { p.touch(api.KeyOf(cmp.Or(ch.After, ch.Before))) })
	set.Listen(api.EndpointSliceKind, func(ch informer.Change) {
		p.touch(serviceOf(cmp.Or(ch.After, ch.Before)), serviceOf(cmp.Or(ch.Before, ch.After))) // it may have been another's
	})
	return p
}

func serviceOf(slice api.Object) api.Key {
	return api.Key{Namespace: slice.GetNamespace(), Name: slice.GetLabels()[discoveryv1.LabelServiceName]}
}

func (p *Proxy) touch(services ...api.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range services {
		p.dirty[s] = true
	}
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// Run programs what changes, looks after the table, and returns when ctx ends; the table stays, so that Services go on without an agent. What happens
// while the kernel is busy is programmed together.
func (p *Proxy) Run(ctx context.Context) error {
	tick := time.NewTicker(resync)
	defer tick.Stop()
	for {
		var again <-chan time.Time
		if err := p.Step(); err != nil {
			p.log.Warn("Services are not programmed; trying again", "node", p.node, "error", err)
			again = time.After(retry)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.news:
		case <-again:
		case <-tick.C:
			p.check()
		}
	}
}

// check finds out whether somebody else has changed the table.
func (p *Proxy) check() {
	if !p.built {
		return
	}
	intact, err := p.table.Intact(p.book.programmed)
	if p.built = intact; !intact {
		p.log.Warn("somebody changed the table of Services; writing it anew", "node", p.node, "error", err)
	}
}

// Step plans what has changed and programs it; the first time, and after a failure, all.
func (p *Proxy) Step() (err error) {
	p.plan()
	d, anew := p.book.delta(), !p.built
	if anew {
		d.Add = p.book.programmed
	}
	if anew || len(d.Delete)+len(d.Add) > 0 {
		err = p.table.Write(d, anew)
	}
	if flows := p.book.flows(d); err == nil && len(flows) > 0 {
		err = p.table.Forget(flows)
	}
	if p.built = err == nil; anew && p.built {
		p.log.Info("Services are programmed", "node", p.node, "elements", len(d.Add))
	}
	return err
}

// plan brings the book up to date.
func (p *Proxy) plan() {
	p.mu.Lock()
	dirty := p.dirty
	p.dirty = map[api.Key]bool{}
	p.mu.Unlock()
	for service := range dirty {
		var m Model
		if s, ok := p.services.Get(service); ok {
			m = plan(s, p.slices.Indexed(index, service.String()), p.node, p.dns)
		}
		p.book.put(service, m)
	}
}
