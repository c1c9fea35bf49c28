package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"optimist/ctl/parts"
)

// obey does with a node what somebody with access to the cluster's folder asks for, and tells how all nodes are.
func (s *supervisor) obey(r parts.Request) parts.Reply {
	reply := parts.Reply{Runs: map[string]bool{}, Cut: map[string]bool{}}
	if r.Verb != "" {
		if err := s.change(r.Verb, strings.TrimPrefix(r.Part, "node/")); err != nil {
			reply.Error = err.Error()
		}
	}
	c := s.config()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, node := range c.Nodes {
		reply.Runs["node/"+node] = s.running["agent-"+node].alive()
		reply.Cut["node/"+node] = c.Members[node].Cut
	}
	return reply
}

// change is in such an order that a supervisor killed in the middle leaves a node that its successor can go on with: what shall be there is noted
// before it is made, and what shall not, after it is gone.
func (s *supervisor) change(verb, node string) error {
	c := s.config()
	if verb != parts.Stop && verb != parts.Start {
		if err := c.apart(); err != nil {
			return err
		}
	}
	if verb == parts.Add {
		return s.add(node)
	}
	if err := c.knows(node); err != nil {
		return err
	}
	s.log.Info("changing a node", "node", node, "verb", verb)
	m := c.Members[node]
	switch verb {
	case parts.Stop:
		if m.Stopped {
			return fmt.Errorf("node/%s does not run", node)
		}
		s.end("agent-" + node)
		m.Stopped = true
		return s.note(c.with(node, m))
	case parts.Start:
		if !m.Stopped {
			return fmt.Errorf("node/%s runs already", node)
		}
		m.Stopped = false
		if err := s.note(c.with(node, m)); err != nil {
			return err
		}
		s.begin(c.agent(node))
		return nil
	case parts.Cut, parts.Heal:
		s.links.Lock()
		defer s.links.Unlock()
		m.Cut = verb == parts.Cut
		c = c.with(node, m)
		if err := s.note(c); err != nil {
			return err
		}
		return c.setLink(node)
	case parts.Remove:
		return s.remove(node)
	}
	return fmt.Errorf("nodes do not know how to %q", verb)
}

// note makes something true of the cluster, also for the next supervisor.
func (s *supervisor) note(c Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := c.save(); err != nil {
		return err
	}
	s.c = c
	return nil
}

func (s *supervisor) end(process string) {
	if end := s.ends[process]; end != nil {
		end()
		delete(s.ends, process)
	}
}

func (s *supervisor) add(node string) error {
	c := s.config()
	if slices.Contains(c.Nodes, node) {
		return fmt.Errorf("node/%s is there already", node)
	}
	c, err := c.admit(node)
	if err != nil {
		return err
	}
	if err := c.credentials().Run(c.pki()); err != nil {
		return err
	}
	if err := s.note(c); err != nil {
		return err
	}
	s.begin(c.agent(node))
	return nil
}

// remove ends a node with its pods, and forgets it.
func (s *supervisor) remove(node string) error {
	c := s.config()
	if len(c.Nodes) == 1 {
		return fmt.Errorf("node/%s is the last one: remove the whole cluster (ctl down --name %s)", node, c.Name)
	}
	s.end("agent-" + node)
	if err := c.cleanNode(node, "remove"); err != nil {
		return err
	}
	one := c
	one.Nodes = []string{node}
	one.removeCgroups()
	one.removeRuncFolder(node)
	if err := c.removeNode(node); err != nil {
		return err
	}
	for _, path := range []string{c.agentRoot(node), filepath.Join(c.Run, node), filepath.Join(c.pki(), "node-"+node+".kubeconfig")} {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return s.note(c.without(node))
}
