package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"optimist/ctl/parts"
)

const (
	firstRestart = 100 * time.Millisecond // doubled by each further death,
	maxRestart   = 5 * time.Second        // up to this,
	settled      = 10 * time.Second       // and forgotten after running for so long

	cleanPatience = 90 * time.Second // for the pods' own graceful end; less than what stop and down wait for the supervisor
)

// supervisor watches over a cluster's processes. It is the only one to start them; what it knows of them is in processes.json, so that
// the next supervisor can go on where this one was killed.
type supervisor struct {
	log   *slog.Logger
	links sync.Mutex        // held while nodes' links change, or are made as they shall be
	ends  map[string]func() // of what is watched; belongs to whoever obeys, then to who shuts down

	mu      sync.Mutex // guards c, running and their files
	c       Config
	running map[string]running
}

// supervise runs until it is told to end. The signal decides what stays. It listens for signals before it takes the lock, for who sees
// the lock taken may send one.
func (c Config) supervise(log *slog.Logger) error {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGINT, removeSignal)
	lock, err := c.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	s := &supervisor{c: c, log: log, running: c.recorded(), ends: map[string]func(){}}
	for _, p := range c.processes() {
		s.begin(p)
	}
	ctx, cancel := context.WithCancel(context.Background())
	deaf := make(chan struct{})
	go func() {
		defer close(deaf)
		if err := parts.Serve(ctx, c.Control(), s.obey); err != nil {
			log.Error("nodes cannot be changed", "err", err)
		}
	}()
	how := <-told
	log.Info("stopping", "signal", how.String())
	cancel()
	<-deaf
	s.shutDown(how == removeSignal)
	return nil
}

// begin watches over a process until its end is called for.
func (s *supervisor) begin(p process) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.watch(ctx, p) }()
	s.ends[p.name] = func() { cancel(); <-done }
}

// config is what the cluster is now: nodes come and go.
func (s *supervisor) config() Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.c
}

// ground makes what a process needs of the network. A node is joined or cut off as it shall be now, not when the process was first started.
func (s *supervisor) ground(p process) error {
	s.links.Lock()
	defer s.links.Unlock()
	return s.config().prepare(p)
}

// watch keeps one process running until ctx ends, then stops it. What runs already is adopted, also when all shall end: it has to be stopped.
func (s *supervisor) watch(ctx context.Context, p process) {
	defer s.record(p.name, running{})
	r := s.adopted(p)
	if r == nil && p.server != "" {
		until(5*time.Second, func() bool { return ctx.Err() != nil || accepts("tcp", p.server) }) // so that clients need not begin with complaints
	}
	delay, deaths := firstRestart, 0
	for {
		began := time.Now()
		how := s.once(ctx, p, r)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > settled {
			delay, deaths = firstRestart, 0
		}
		deaths++
		s.record(p.name, running{Deaths: deaths, How: how.Error(), Supervisor: os.Getpid()})
		select {
		case <-ctx.Done():
			return
		case <-time.After(delay):
		}
		r, delay = nil, min(2*delay, maxRestart)
	}
}

// once is one life of a process, from its start (unless it was adopted) to its end.
func (s *supervisor) once(ctx context.Context, p process, r *running) error {
	if r == nil {
		var err error
		if r, err = s.start(ctx, p); err != nil {
			s.log.Error("cannot start", "process", p.name, "err", err)
			return err
		}
	}
	how := r.wait(ctx)
	if ctx.Err() == nil {
		s.log.Warn("process ended, restarting it", "process", p.name, "pid", r.PID, "how", how)
		return how
	}
	r.stop(patience)
	return ctx.Err()
}

// adopted returns the process as it runs already, nil if it does not.
func (s *supervisor) adopted(p process) *running {
	s.mu.Lock()
	known := s.running[p.name]
	s.mu.Unlock()
	if !known.alive() {
		return nil
	}
	s.log.Info("adopted", "process", p.name, "pid", known.PID)
	if err := s.ground(p); err != nil {
		s.log.Error("the network is not as it should be", "process", p.name, "err", err)
	}
	return &known
}

func (s *supervisor) start(ctx context.Context, p process) (*running, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	c := s.config()
	out, err := openLog(c.logFile(p.name))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	if err := s.ground(p); err != nil {
		return nil, err
	}
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Dir = c.Root
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's Ctrl-C is not for them
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := runningOf(cmd)
	s.record(p.name, *r)
	s.log.Info("started", "process", p.name, "pid", r.PID)
	return r, nil
}

// maxLog is the size at which a component's log is put aside when the component starts.
const maxLog = 16 << 20

func openLog(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

func (s *supervisor) record(name string, r running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[name] = r; r == (running{}) {
		delete(s.running, name)
	}
	if err := writeJSON(s.c.path("processes.json"), s.running); err != nil {
		s.log.Warn("cannot note which processes run", "err", err)
	}
}

// shutDown ends agents first, then the pods, then the rest in the reverse order of starting. What is of several nodes ends at the same time.
func (s *supervisor) shutDown(remove bool) {
	var agents sync.WaitGroup
	for _, p := range slices.Backward(s.config().processes()) {
		end := func() {
			s.ends[p.name]()
			s.log.Info("stopped", "process", p.name)
		}
		if p.node != "" {
			agents.Go(end)
			continue
		}
		agents.Wait()
		if p.name == "containerd" {
			s.cleanNodes(map[bool]string{true: "remove", false: "stop"}[remove])
		}
		end()
	}
}

func (s *supervisor) cleanNodes(mode string) {
	var all sync.WaitGroup
	c := s.config()
	for _, node := range c.Nodes {
		all.Go(func() {
			if err := c.cleanNode(node, mode); err != nil {
				s.log.Error("the node could not be cleaned up", "node", node, "err", err)
			}
		})
	}
	all.Wait()
}

// cleanNode has the agent's binary stop, or remove, what it ran. A namespace that a reboot took is made anew for that.
func (c Config) cleanNode(node, mode string) error {
	out, err := openLog(c.logFile("agent-" + node))
	if err != nil {
		return err
	}
	defer out.Close()
	ctx, cancel := context.WithTimeout(context.Background(), cleanPatience)
	defer cancel()
	argv := c.agentCommand(node, "--cleanup", mode)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	if err = c.prepare(c.agent(node)); err == nil {
		err = cmd.Run()
	}
	if err != nil {
		return fmt.Errorf("clean node %s: %w%s", node, err, lastLines(out.Name(), 1))
	}
	return nil
}
