package simulation

import (
	"context"
	"time"

	"optimist/controllers"
	"optimist/internal/api"
	"optimist/internal/leader"
	"optimist/internal/reconcile"
	"optimist/scheduler"
)

// process is one copy of the scheduler or of the controllers: it watches from its start, competes for the lead, and works while it leads.
type process struct {
	w    *World
	name string // scheduler/1, controllers/2 …
	life *life  // nil or dead: it does not run

	candidate *leader.Candidate
	competing bool // its candidate is in the middle of a step
	look      time.Time
	term      *term
	loops     []*reconcile.Loop    // controllers only
	scheduler *scheduler.Scheduler // scheduler only
}

// term is one time of leading.
type term struct {
	ctx   context.Context
	end   context.CancelFunc
	fence api.Fence
	begun bool
}

func (p *process) start() {
	w := p.w
	p.life, p.term, p.look, p.competing, p.loops, p.scheduler = w.newLife(p.name), nil, time.Now(), false, nil, nil
	user, lease := api.UserScheduler, scheduler.LeaseKey
	if p.ofControllers() {
		user, lease = api.UserControllers, controllers.LeaseKey
		c := controllers.New(controllers.Config{ID: p.name, Log: w.logger(p.name), Service: func(user string) api.Service {
			return &link{p.life, api.User{Name: user}, roleOf(user)}
		}})
		p.loops, p.life.streams = c.Loops(), streams(p.life, c.Set())
	} else {
		p.scheduler = scheduler.New(scheduler.Config{ID: p.name, Log: w.logger(p.name), Service: &link{p.life, api.User{Name: user}, "scheduler"}})
		p.life.streams = streams(p.life, p.scheduler.Set())
	}
	p.candidate = leader.NewCandidate(leader.Config{Service: &link{p.life, api.User{Name: user}, "leader"}, Lease: lease, ID: p.name, Log: w.logger(p.name)})
}

func (p *process) ofControllers() bool { return p.name[0] == 'c' }

func roleOf(user string) string {
	if len(user) > len(api.ControllerPrefix) {
		return user[len(api.ControllerPrefix):]
	}
	return "controllers"
}

// compete lets the candidate look, if it is time to.
func (p *process) compete() {
	if !p.life.runs() || p.competing || time.Now().Before(p.look) {
		return
	}
	p.competing = true
	life := p.life
	p.w.acting(&frame{who: p.name, role: "leader", life: life}, func() { _ = p.candidate.Step(life.ctx) }) // it will try again
	if p.life != life {
		return // it died meanwhile, and lives again
	}
	p.competing, p.look = false, time.Now().Add(p.candidate.Retry)
	p.follow(p.candidate.Fence())
}

// follow begins and ends terms as the candidate's fence says.
func (p *process) follow(f *api.Fence) {
	if p.term != nil && (f == nil || *f != p.term.fence) {
		p.w.say(p.name, "leads no longer")
		p.term.end()
		p.term = nil
	}
	if p.term == nil && f != nil && !p.life.dead {
		p.w.say(p.name, "leads, epoch %d", f.Epoch)
		p.term = &term{fence: *f}
		p.term.ctx, p.term.end = context.WithCancel(api.WithFence(p.life.ctx, *f))
	}
}

// leads reports whether the process can work now. A new leader begins when all lists are there.
func (p *process) leads() bool {
	if !p.life.runs() || p.term == nil || !synced(p.life.streams) {
		return false
	}
	if !p.term.begun {
		p.term.begun = true
		if p.scheduler != nil {
			p.scheduler.Begin()
		}
		for _, l := range p.loops {
			_ = l.Begin(p.term.ctx) // waits for nothing: the lists are there
		}
	}
	return true
}

// work takes one step of the i-th loop, and reports whether there was anything to do.
func (p *process) work(i int) (did bool) {
	if !p.leads() {
		return false
	}
	w := p.w
	f := &frame{who: p.name, role: "scheduler", life: p.life, began: p.life.positions(), planned: w.history.revision}
	step, ctx := func(ctx context.Context) bool { return p.scheduler.One(ctx) }, p.term.ctx
	if p.ofControllers() {
		l := p.loops[i%len(p.loops)]
		f.role, step = l.Name, l.Step
	}
	w.acting(f, func() { did = step(ctx) })
	return did
}

// parts is how many loops there are to step.
func (p *process) parts() int { return max(1, len(p.loops)) }
