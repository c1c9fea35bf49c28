package simulation

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/runtime"
	"optimist/apiserver/store"
	"optimist/internal/api"
)

// Odds are how likely each misfortune is, whenever there is an occasion for it.
type Odds struct {
	RequestLost float64 // a call never arrives
	AnswerLost  float64 // a write is done, but whoever asked is told that the connection broke
	Refused     float64 // the server says that it is not available
	Kill        float64 // the component dies at this call of its
	Meanwhile   float64 // others do something between two of its calls
	Slow        float64 // the same, but for long: the call waits in some queue
	Pause       float64 // it stands still between two of its calls, for long
	StaleList   float64 // a list is as old as is allowed
	Trouble     float64 // of everything that happens, how much is a misfortune of its own (see troubles)
}

// Usual are the odds of an ordinary run.
var Usual = Odds{RequestLost: 0.01, AnswerLost: 0.02, Refused: 0.005, Kill: 0.003, Meanwhile: 0.12, Slow: 0.015, Pause: 0.005, StaleList: 0.5, Trouble: 0.04}

// vary makes some misfortunes frequent and others rare or unheard of, so that not every seed dies of the same.
func (w *World) vary() {
	o := &w.Odds
	for _, odds := range []*float64{&o.RequestLost, &o.AnswerLost, &o.Refused, &o.Kill, &o.Meanwhile, &o.Slow, &o.Pause, &o.StaleList, &o.Trouble} {
		*odds *= pick(w, []float64{0, 0.5, 1, 1, 2})
	}
}

// share is one of the things that may come next, and how often it does.
type share struct {
	weight int
	do     func(w *World)
}

func (w *World) draw(from []share) {
	sum := 0
	for _, s := range from {
		sum += s.weight
	}
	n := w.dice.IntN(sum)
	for _, s := range from {
		if n -= s.weight; n < 0 {
			s.do(w)
			return
		}
	}
}

// events are what ordinarily happens. A function, since what happens may make others happen meanwhile.
func events() []share {
	return []share{
		{36, (*World).loopSteps},
		{24, (*World).watchTells},
		{22, (*World).nodeWorks},
		{6, (*World).timePasses},
		{6, (*World).userActs},
	}
}

// happen lets one thing happen.
func (w *World) happen() {
	if w.Failed != "" {
		return
	}
	w.steps++
	if w.strikes(w.Odds.Trouble) {
		w.draw(troubles)
		return
	}
	w.draw(events())
}

// meanwhile lets others do something while a component is between two of its calls; sometimes it stands still as a whole, and is woken much later.
func (w *World) meanwhile(l *life) {
	if w.depth >= maxDepth || w.Failed != "" {
		return
	}
	n := 0
	switch {
	case w.strikes(w.Odds.Pause):
		n = 20 + w.dice.IntN(60)
		w.say(l.name, "stands still")
		l.paused++
		defer func() {
			l.paused--
			w.say(l.name, "goes on")
		}()
	case w.strikes(w.Odds.Slow):
		n = 10 + w.dice.IntN(50)
	case w.strikes(w.Odds.Meanwhile):
		n = 1 + w.dice.IntN(8)
	}
	w.depth++
	if l.paused > 0 && n > 0 && w.dice.IntN(2) == 0 {
		w.pass(time.Duration(10+w.dice.IntN(20)) * time.Second)
	}
	for range n {
		w.happen()
	}
	w.depth--
}

func (w *World) loopSteps() {
	var leading []*process
	for _, p := range w.processes {
		if p.leads() {
			leading = append(leading, p)
		}
	}
	if len(leading) == 0 {
		w.pass(500 * time.Millisecond)
		return
	}
	p := leading[w.dice.IntN(len(leading))]
	for first, n := w.dice.IntN(p.parts()), 0; n < p.parts(); n++ {
		if p.work(first + n) {
			return
		}
	}
}

func (w *World) watchTells() {
	var behind []*stream
	for _, l := range w.lives() {
		for _, s := range l.streams {
			if l.runs() && !l.cut && s.behind() {
				behind = append(behind, s)
			}
		}
	}
	if len(behind) == 0 {
		return
	}
	s := behind[w.dice.IntN(len(behind))]
	if !s.open {
		s.begin(w.strikes(w.Odds.StaleList))
		return
	}
	s.tell(1 + w.dice.IntN(6))
}

func (w *World) nodeWorks() {
	var due []*job
	var at []*machine
	for _, m := range w.machines {
		m.prepare()
		for _, j := range m.due() {
			due, at = append(due, j), append(at, m)
		}
	}
	if len(due) > 0 {
		i := w.dice.IntN(len(due))
		at[i].step(due[i])
	}
}

func (w *World) timePasses() {
	switch n := w.dice.IntN(100); {
	case n < 70:
		w.pass(time.Duration(w.dice.IntN(400)) * time.Millisecond)
	case n < 97:
		w.pass(time.Duration(w.dice.IntN(4000)) * time.Millisecond)
	default:
		w.pass(time.Duration(w.dice.IntN(30)) * time.Second)
	}
}

// troubles are the misfortunes that need no occasion.
var troubles = []share{
	{4, (*World).killSomebody},
	{3, (*World).stopSomebody},
	{3, (*World).wakeSomebody},
	{8, (*World).dropWatch},
	{3, (*World).compact},
	{4, (*World).cutNode},
	{5, (*World).joinNode},
	{6, (*World).endContainer},
	{1, (*World).restartServer},
}

func (w *World) someLife() *life {
	all := w.lives()
	return all[w.dice.IntN(len(all))]
}

func (w *World) killSomebody() { w.someLife().kill("between two steps") }

// stopSomebody is SIGSTOP; nothing in the component notices.
func (w *World) stopSomebody() {
	if l := w.someLife(); l.runs() && !l.stopped {
		w.say(l.name, "is stopped")
		l.stopped, l.paused = true, l.paused+1
	}
}

func (w *World) wakeSomebody() {
	if l := w.someLife(); l.stopped {
		w.say(l.name, "is woken")
		l.stopped, l.paused = false, l.paused-1
	}
}

var errStream = errors.New("the stream broke")

func (w *World) dropWatch() {
	l := w.someLife()
	s := l.streams[w.dice.IntN(len(l.streams))]
	if !l.dead && s.open {
		w.say(l.name, "loses its watch of %s", s.track.kind)
		s.lose(errStream)
	}
}

func (w *World) compact() {
	at := w.history.floor + api.Revision(w.dice.Int64N(int64(w.history.revision-w.history.floor)+1))
	if w.store.Compact(context.Background(), store.Revision(at)) == nil {
		w.history.floor = at
		w.say("store", "forgets everything before %d", at)
	}
}

func (w *World) cutNode() {
	if m := w.machines[w.dice.IntN(len(w.machines))]; !m.life.dead && !m.life.cut {
		w.say(m.name, "is cut off")
		m.life.cut = true
		for _, s := range m.life.streams {
			if s.open {
				s.lose(errStream)
			}
		}
	}
}

func (w *World) joinNode() {
	if m := w.machines[w.dice.IntN(len(w.machines))]; m.life.cut {
		w.say(m.name, "is connected again")
		m.life.cut = false
	}
}

// endContainer lets a container end by itself.
func (w *World) endContainer() {
	m := w.machines[w.dice.IntN(len(w.machines))]
	boxes, _ := m.runtime.State(context.Background())
	for _, b := range boxes {
		for _, c := range b.Containers {
			if c.Phase == runtime.Running && w.dice.IntN(len(boxes)) == 0 {
				w.crash(m, c.ID, b.Pod)
				return
			}
		}
	}
}

func (w *World) crash(m *machine, id runtime.ContainerID, uid types.UID) {
	w.say(m.name, "container %s ends by itself", id)
	if m.runtime.Stop(context.Background(), id, 0) == nil && !m.life.dead {
		m.happened(uid)
	}
}

// restartServer makes the API server anew over its store; all watches end.
func (w *World) restartServer() {
	if err := w.serve(); err != nil {
		w.violated("the API server does not start: %v", err)
		return
	}
	w.say("apiserver", "is killed and starts again")
	for _, l := range w.lives() {
		for _, s := range l.streams {
			if !l.dead && s.open {
				s.lose(errStream)
			}
		}
	}
}
