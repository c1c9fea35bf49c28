package proxy

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/fields"

	"optimist/internal/api"
	"optimist/internal/informer"
	"optimist/internal/wake"
)

// Delta is what has to be done to a table, all at once: first the deletions. An element whose value changes is in both.
type Delta struct{ Delete, Add Model }

// diff makes the one of the other.
func diff(desired, programmed Model) Delta {
	d := Delta{Model{}, Model{}}
	for e, v := range programmed {
		if to, ok := desired[e]; !ok || to != v {
			d.Delete[e] = v
		}
	}
	for e, v := range desired {
		if from, ok := programmed[e]; !ok || from != v {
			d.Add[e] = v
		}
	}
	return d
}

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
	index  = "service" // of slices: the Service that they are of; under this name agent/dns shares it
	ofPod  = "pod/"    // begins the name in a pod's key, among those of Services
)

// Proxy keeps one node's table in step with Services and EndpointSlices, and with the host ports of its pods.
type Proxy struct {
	table    Table
	node     string
	dns      netip.Addr
	log      *slog.Logger
	services informer.Reader[*corev1.Service]
	slices   informer.Reader[*discoveryv1.EndpointSlice]
	pods     informer.Reader[*corev1.Pod] // the node's
	news     wake.Bell
	mu       sync.Mutex
	dirty    map[api.Key]bool // guarded by mu: Services and pods to plan again
	book     *book            // Run's, as the next
	built    bool             // the table holds what the book says
}

// New watches what a node's Proxy needs; call it before the set runs.
func New(t Table, set *informer.Set, node string, dns netip.Addr, log *slog.Logger) *Proxy {
	p := &Proxy{table: t, node: node, dns: dns, log: log, news: wake.New(), dirty: map[api.Key]bool{},
		book: &book{map[api.Key]Model{}, map[Element][]string{}, map[Element]bool{}, Model{}, map[string]bool{}}}
	p.services = informer.Watch(set, api.Services, informer.Options[*corev1.Service]{})
	p.slices = informer.Watch(set, api.EndpointSlices, informer.Options[*discoveryv1.EndpointSlice]{
		Index: map[string]func(*discoveryv1.EndpointSlice) []string{index: func(s *discoveryv1.EndpointSlice) []string { return []string{api.ServiceOf(s).String()} }}})
	set.Listen(api.ServiceKind, func(ch informer.Change) { p.touch(api.KeyOf(cmp.Or(ch.After, ch.Before))) })
	set.Listen(api.EndpointSliceKind, func(ch informer.Change) {
		p.touch(api.ServiceOf(cmp.Or(ch.After, ch.Before)), api.ServiceOf(cmp.Or(ch.Before, ch.After))) // it may have been another's
	})
	p.pods = informer.Watch(set, api.Pods, informer.Options[*corev1.Pod]{Fields: fields.OneTermEqualSelector("spec.nodeName", node)})
	set.Listen(api.PodKind, func(ch informer.Change) {
		pod := api.KeyOf(cmp.Or(ch.After, ch.Before))
		p.touch(api.Key{Namespace: pod.Namespace, Name: ofPod + pod.Name})
	})
	return p
}

func (p *Proxy) touch(all ...api.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range all {
		p.dirty[key] = true
	}
	p.news.Ring()
}

// Run programs what changes, looks after the table, and returns when ctx ends; the table stays, so that Services go on without an agent. What happens
// while the kernel is busy is programmed together.
func (p *Proxy) Run(ctx context.Context) error {
	for checked := time.Now(); ; {
		wait := time.Until(checked.Add(resync))
		if err := p.Step(); err != nil {
			p.log.Warn("Services are not programmed; trying again", "node", p.node, "error", err)
			wait = retry
		}
		if wake.After(ctx, wait, p.news) != nil {
			return nil
		}
		if time.Since(checked) >= resync {
			p.check()
			checked = time.Now()
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
func (p *Proxy) Step() error {
	p.plan()
	d, anew := p.book.delta(), !p.built
	if anew {
		d.Add = p.book.programmed
	}
	if anew || len(d.Delete)+len(d.Add) > 0 {
		err := p.table.Write(d, anew)
		if p.built = err == nil; err != nil {
			return err
		}
	}
	if len(p.book.udp) == 0 {
		return nil
	}
	err := p.table.Forget(p.book.flows())
	if err == nil {
		clear(p.book.udp)
	}
	return err
}

// plan brings the book up to date.
func (p *Proxy) plan() {
	p.mu.Lock()
	dirty := p.dirty
	p.dirty = map[api.Key]bool{}
	p.mu.Unlock()
	for key := range dirty {
		var m Model
		if s, ok := p.services.Get(key); ok {
			m = plan(s, p.slices.Indexed(index, key.String()), p.node, p.dns)
		} else if one, ok := p.pods.Get(api.Key{Namespace: key.Namespace, Name: strings.TrimPrefix(key.Name, ofPod)}); ok && strings.HasPrefix(key.Name, ofPod) {
			m = hostPorts(one)
		}
		p.book.put(key, m)
	}
}

// book has what every Service and pod wants. Several may want the same element (a pod behind two Services, an external address named twice): of different
// values the smallest counts, whoever came first, so that only what is, not how it came about, decides what is programmed.
type book struct {
	wants      map[api.Key]Model
	values     map[Element][]string // sorted, one for each that wants the element
	touched    map[Element]bool     // since the last delta
	programmed Model                // once that delta has been applied
	udp        map[string]bool      // frontends touched since the kernel last forgot what it has tracked of them
}

// put replaces what a Service wants.
func (b *book) put(by api.Key, m Model) {
	d := diff(m, b.wants[by])
	for e, v := range d.Delete {
		i, _ := slices.BinarySearch(b.values[e], v)
		b.values[e], b.touched[e] = slices.Delete(b.values[e], i, i+1), true
	}
	for e, v := range d.Add {
		i, _ := slices.BinarySearch(b.values[e], v)
		b.values[e], b.touched[e] = slices.Insert(b.values[e], i, v), true
	}
	if b.wants[by] = m; len(m) == 0 {
		delete(b.wants, by)
	}
}

// delta is what has changed since the last one.
func (b *book) delta() Delta {
	want, have := Model{}, Model{}
	for e := range b.touched {
		if e.Set != "hairpin" && e.Key[4] == protocols["UDP"] {
			b.udp[e.Key[:12]] = true
		}
		if v, ok := b.programmed[e]; ok {
			have[e] = v
		}
		if all := b.values[e]; len(all) > 0 {
			want[e], b.programmed[e] = all[0], all[0]
		} else {
			delete(b.values, e)
			delete(b.programmed, e)
		}
	}
	clear(b.touched)
	return diff(want, have)
}

// flows are the udp frontends, and each with a backend after it that it has now.
func (b *book) flows() map[string]bool {
	found := maps.Clone(b.udp)
	for e, to := range b.programmed {
		if strings.HasSuffix(e.Set, "_backends") && b.udp[e.Key[:12]] {
			found[e.Key[:12]+to] = true
		}
	}
	return found
}
