package door

import "sync"

// Places bound what is under way at once: in all, and for one user a third of that, lest one who dawdles keeps all others out.
type Places struct {
	Most int

	mu  sync.Mutex // guards what follows
	all int
	of  map[string]int
}

// Enter takes a place, which Leave gives back; false if there is none.
func (p *Places) Enter(user string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all >= p.Most || p.of[user] >= p.Most/3 {
		return false
	}
	if p.of == nil {
		p.of = map[string]int{}
	}
	p.all++
	p.of[user]++
	return true
}

// Leave gives a place back.
func (p *Places) Leave(user string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	if p.of[user]--; p.of[user] == 0 {
		delete(p.of, user)
	}
}
