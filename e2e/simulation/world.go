package simulation

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/network"
	"optimist/agent/runtime/sim"
	"optimist/apiserver/auth"
	"optimist/apiserver/registry"
	"optimist/apiserver/registry/kinds"
	"optimist/apiserver/store"
	"optimist/apiserver/store/memory"
	"optimist/internal/api"
)

// Options say what kind of world it is.
type Options struct {
	Seed  uint64
	Steps int  // how much happens before everything is left to come to rest; 0 = 800
	Nodes int  // 0 = 3
	Odds  Odds // of misfortunes
	Log   bool // also tell what the components themselves log
}

// World is a whole control plane and its nodes, driven from one goroutine in an order that follows from a seed.
type World struct {
	Options
	dice     *rand.Rand
	store    *memory.Store
	registry *registry.Registry
	service  api.Service // the registry behind auth
	uids     int

	history   *history
	processes []*process
	machines  []*machine
	restarts  map[string]time.Time // when what was killed comes back

	frames []*frame // who is in the middle of something; the last one acts
	depth  int      // of what happens while others are in the middle of something
	steps  int
	lively bool // misfortunes happen
	fate   *fate

	checks checks
	began  time.Time
	noise  time.Time // when something was last written that is no heartbeat
	story  []string
	Failed string // the invariant that was violated
}

// frame is somebody in the middle of one step.
type frame struct {
	who, role string
	life      *life
	began     map[*api.Kind]api.Revision // how far the watches had told when the plan was made …
	planned   api.Revision               // … and how far the server was
	link      *link                      // while a request is being carried out …
	request   *api.Request
	fence     *api.Fence
}

// maxDepth is how deep "meanwhile" goes: while one is in the middle of something another may begin, and so on.
const maxDepth = 3

var roles = sync.OnceValues(auth.Builtin)

func newWorld(o Options) (*World, error) {
	if o.Steps == 0 {
		o.Steps = 800
	}
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	w := &World{Options: o, dice: rand.New(rand.NewPCG(o.Seed, 0x0b71)), store: memory.New(), history: newHistory(), restarts: map[string]time.Time{},
		checks: newChecks(), began: time.Now()}
	w.frames = []*frame{{who: "user", role: "user"}}
	if err := w.serve(); err != nil {
		return nil, err
	}
	if err := w.registry.Bootstrap(context.Background()); err != nil {
		return nil, err
	}
	for i := range w.Nodes {
		w.machines = append(w.machines, &machine{w: w, name: fmt.Sprint("n", i+1), address: fmt.Sprint("192.0.2.", i+1), runtime: sim.New(), network: &network.Loopback{}})
	}
	for _, name := range []string{"scheduler/1", "controllers/1", "scheduler/2", "controllers/2"} {
		w.processes = append(w.processes, &process{w: w, name: name})
	}
	for _, m := range w.machines {
		m.start()
	}
	for _, p := range w.processes {
		p.start()
	}
	return w, nil
}

// serve makes an API server over the store; one that was there before forgets what it remembered.
func (w *World) serve() error {
	r, err := roles()
	if err != nil {
		return err
	}
	w.registry, err = registry.New(tap{w.store, w.committed}, registry.Options{Rules: kinds.All(), Mutators: []registry.Mutator{numbered{w}},
		Ranges: registry.Ranges{ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"), NodeBits: 24, ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16")},
		Log:    slog.New(slog.DiscardHandler)})
	w.service = auth.New(w.registry, r)
	return err
}

// numbered gives uids in order instead of by chance: names follow from them.
type numbered struct{ w *World }

func (n numbered) Mutate(_ context.Context, r api.Request, object, old api.Object) error {
	if r.Verb == api.VerbCreate && object != nil && old == nil {
		n.w.uids++
		object.SetUID(types.UID(fmt.Sprint("uid-", n.w.uids)))
	}
	return nil
}

// committed enters a transaction into the history and judges it.
func (w *World) committed(revision store.Revision, ops []store.Op) {
	r := api.Revision(revision)
	if r != w.history.revision+1 {
		w.violated("revision %d follows %d", r, w.history.revision)
	}
	w.history.revision = r
	for _, op := range ops {
		t, key, ok := w.history.locate(op.Key)
		if !ok {
			continue
		}
		c := change{kind: t.kind, key: key, revision: r, before: t.now[key], by: w.top()}
		if op.Value != nil {
			res, err := w.registry.Get(context.Background(), api.Target{Kind: t.kind, Key: key}, api.GetOptions{At: r})
			if err != nil {
				w.violated("what was written as %s cannot be read: %v", c, err)
				return
			}
			c.after = res.Object
		}
		t.add(c)
		w.judge(c)
		if !heartbeat(c) {
			w.noise = time.Now()
		}
	}
}

func (w *World) top() *frame { return w.frames[len(w.frames)-1] }

// acting lets somebody take a step.
func (w *World) acting(f *frame, step func()) {
	w.frames = append(w.frames, f)
	step()
	w.frames = w.frames[:len(w.frames)-1]
}

// strikes throws the dice, while misfortunes happen.
func (w *World) strikes(odds float64) bool { return w.lively && odds > 0 && w.dice.Float64() < odds }

func (w *World) violated(format string, args ...any) {
	if w.Failed == "" {
		w.Failed = fmt.Sprintf(format, args...)
		w.say("VIOLATION", "%s", w.Failed)
	}
}

// say adds a line to the story.
func (w *World) say(who, format string, args ...any) {
	w.story = append(w.story, fmt.Sprintf("%5d %9.3fs  %s%-13s %s", w.steps, time.Since(w.began).Seconds(), strings.Repeat("· ", w.depth), who, fmt.Sprintf(format, args...)))
}

// Story is what happened, line by line.
func (w *World) Story() []string { return w.story }

// logger is what a component logs to: the story, if that is wanted.
func (w *World) logger(who string) *slog.Logger {
	if !w.Log {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(lines{w, who}, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}}))
}

type lines struct {
	w   *World
	who string
}

func (l lines) Write(b []byte) (int, error) {
	l.w.say(l.who, "  %s", strings.TrimSpace(string(b)))
	return len(b), nil
}

// pass lets time go by, a second at a time at most; who has to do something regularly does it.
func (w *World) pass(d time.Duration) {
	for d > 0 && w.Failed == "" {
		slice := min(d, time.Second)
		time.Sleep(slice)
		d -= slice
		w.tick()
	}
}

// tick does what is due by the clock.
func (w *World) tick() {
	for _, p := range w.processes {
		if w.due(p.name, p.life) {
			p.start()
		}
		p.compete()
	}
	for _, m := range w.machines {
		if w.due(m.name, m.life) {
			m.start()
		}
		m.keep()
	}
}

// due reports whether a killed component is to come back now. Its supervisor lets it wait for a while.
func (w *World) due(name string, l *life) bool {
	if !l.dead {
		return false
	}
	at, known := w.restarts[name]
	if !known {
		w.restarts[name] = time.Now().Add(w.pause())
		return false
	}
	if time.Now().Before(at) {
		return false
	}
	delete(w.restarts, name)
	return true
}

// pause is how long a component stays away after its death.
func (w *World) pause() time.Duration {
	if !w.lively {
		return time.Second
	}
	return time.Duration(w.dice.IntN(8000)) * time.Millisecond
}

// lives are everybody's, also those that have ended and were not begun anew yet.
func (w *World) lives() (all []*life) {
	for _, p := range w.processes {
		all = append(all, p.life)
	}
	for _, m := range w.machines {
		all = append(all, m.life)
	}
	return all
}
