package cluster

import (
	"fmt"
	"os"
	"path/filepath"
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
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, node := range s.c.Nodes {
		reply.Runs["node/"+node], reply.Cut["node/"+node] = s.running["agent-"+node].alive(), s.c.Members[node].Cut
	}
	return reply
}

// change keeps such an order that a supervisor killed in the middle leaves a node that its successor can go on with: what shall be there is noted
// before it is made, and what shall not, after it is gone.
func (s *supervisor) change(verb, node string) error {
	c := s.config()
	if err := c.allows(verb, node); err != nil {
		return err
	}
	s.log.Info("changing a node", "node", node, "verb", verb)
	m := c.Members[node]
	switch verb {
	case parts.Stop:
		m.Stopped = true
		s.end(node)
		return s.note(c.with(node, m))
	case parts.Start:
		m.Stopped = false
		c = c.with(node, m)
	case parts.Cut, parts.Heal:
		m.Cut = verb == parts.Cut
		s.links.Lock()
		defer s.links.Unlock()
		if err := s.note(c.with(node, m)); err != nil {
			return err
		}
		return c.with(node, m).setLink(node)
	case parts.Add:
		c = c.admit(node)
		if err := c.credentials().Run(c.pki()); err != nil {
			return err
		}
	case parts.Remove:
		s.end(node)
		if err := c.purge(node); err != nil {
			return err
		}
		return s.note(c.without(node))
	default:
		return fmt.Errorf("nodes do not know how to %q", verb)
	}
	if err := s.note(c); err != nil {
		return err
	}
	s.begin(c.agent(node))
	return nil
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

func (s *supervisor) end(node string) {
	if end := s.ends["agent-"+node]; end != nil {
		end()
		delete(s.ends, "agent-"+node)
	}
}

// purge ends a node's pods and removes whatever was the node's.
func (c Config) purge(node string) error {
	if err := c.cleanNode(node, "remove"); err != nil {
		return err
	}
	one := c
	one.Nodes = []string{node}
	one.removeCgroups()
	for _, path := range []string{c.agentRoot(node), filepath.Join(c.Run, node), c.credential("node-" + node), c.runcFolder(node)} {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove node %s: %w", node, err)
		}
	}
	return c.removeNode(node)
}
