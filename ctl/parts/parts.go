// Package parts stops and starts the parts of a simulated cluster, one at a time, as killing and starting their processes would; and the nodes of a
// real one, which it also adds, cuts off and removes.
//
//	ctl part stop scheduler ── Ask ──▶ control.sock in the cluster's folder ── Serve ──▶ inprocess.Cluster, or the supervisor
//	ctl node cut n2
//
// It is a socket and no call to the API server, because the API server is a part too. Whoever can open the cluster's folder may use it.
//
// Real Kubernetes needs nothing of the kind: its parts are processes, and `kill -9` ends them; its nodes are machines.
package parts

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// Request says what to do with a part: one of the verbs, or nothing.
type Request struct{ Verb, Part string }

// The verbs of a request.
const (
	Stop   = "stop"
	Start  = "start"
	Cut    = "cut" // off from all others
	Heal   = "heal"
	Add    = "add" // in real clusters
	Remove = "rm"
)

// Reply is how the parts are afterwards.
type Reply struct {
	Runs  map[string]bool
	Cut   map[string]bool `json:",omitempty"`
	Error string          `json:",omitempty"`
}

const (
	patience = 15 * time.Second // for what is quick
	endless  = 2 * time.Minute  // for a node's pods to end
)

// Ask sends a request to the cluster whose socket it is, and returns how the parts are then.
func Ask(ctx context.Context, socket string, r Request) (reply Reply, err error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return reply, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })() // it may be busy with another's request
	if err := errors.Join(conn.SetDeadline(time.Now().Add(endless)), json.NewEncoder(conn).Encode(r)); err != nil {
		return reply, err
	}
	if err := json.NewDecoder(conn).Decode(&reply); err != nil {
		err = cmp.Or(ctx.Err(), err)
		return reply, fmt.Errorf("the cluster gave no answer: %w", err)
	}
	if reply.Error != "" {
		return reply, errors.New(reply.Error)
	}
	return reply, nil
}

// Serve answers, one request after the other, until ctx ends. What is wrong with an asker is the asker's business.
func Serve(ctx context.Context, socket string, answer func(Request) Reply) error {
	_ = os.Remove(socket) // of one that was killed; if it cannot be removed, listening fails
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { l.Close() })()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		var r Request
		if conn.SetDeadline(time.Now().Add(patience)) == nil && json.NewDecoder(conn).Decode(&r) == nil {
			reply := answer(r)
			_ = conn.SetDeadline(time.Now().Add(patience))
			_ = json.NewEncoder(conn).Encode(reply)
		}
		conn.Close()
	}
}
