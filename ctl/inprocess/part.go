package inprocess

import (
	"context"
	"fmt"
)

// part is a component that runs.
type part struct {
	stop context.CancelFunc
	done chan struct{}
	err  error // valid after done
}

// Start starts a part, which ends with ctx or with Stop.
func (c *Cluster) Start(ctx context.Context, name string) (wait func() error, err error) {
	p, err := c.start(ctx, name)
	if err != nil {
		return nil, err
	}
	return p.wait, nil
}

func (c *Cluster) start(ctx context.Context, name string) (*part, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parts[name].runs() {
		return nil, fmt.Errorf("%s runs already", name)
	}
	run, err := c.component(name)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	p := &part{stop: stop, done: make(chan struct{})}
	c.parts[name] = p
	go func() {
		defer close(p.done)
		if err := run(ctx); ctx.Err() == nil {
			p.err = fmt.Errorf("%s: %w", name, err)
		}
	}()
	return p, nil
}

// wait returns when the part has ended: an error if nobody had asked for that.
func (p *part) wait() error {
	<-p.done
	return p.err
}

func (p *part) runs() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Stop ends a part at once, as a kill would, and returns when it has ended.
func (c *Cluster) Stop(name string) error {
	c.mu.Lock()
	p := c.parts[name]
	c.mu.Unlock()
	if c.links[name] == nil {
		return c.unknown(name)
	}
	if !p.runs() {
		return fmt.Errorf("%s does not run", name)
	}
	p.stop()
	return p.wait()
}

// Cut takes a running part's connection to the API server away, until Join.
func (c *Cluster) Cut(name string) error {
	l := c.links[name]
	if l == nil {
		return c.unknown(name)
	}
	l.cut()
	return nil
}

// Join gives a part back what Cut has taken.
func (c *Cluster) Join(name string) error {
	l := c.links[name]
	if l == nil {
		return c.unknown(name)
	}
	l.join()
	return nil
}

func (c *Cluster) unknown(name string) error {
	return fmt.Errorf("there is no %s; there are %v", name, c.Names())
}
