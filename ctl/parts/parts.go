// Package parts stops and starts the parts of a simulated cluster, one at a time, as killing and starting their processes would.
//
//	ctl part stop scheduler ── Ask ──▶ control.sock in the cluster's folder ── Serve ──▶ inprocess.Cluster
//
// It is a socket and no call to the API server, because the API server is a part too. Whoever can open the cluster's folder may use it.
//
// Real Kubernetes needs nothing of the kind: its parts are processes, and `kill -9` ends them. So it is here with real containers.
package parts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// Request says what to do with a part: Stop, Start, or nothing.
type Request struct{ Verb, Part string }

// The verbs of a request.
const (
	Stop  = "stop"
	Start = "start"
)

// Reply is how the parts are afterwards.
type Reply struct {
	Runs  map[string]bool
	Error string `json:",omitempty"`
}

// patience is how long a part may take to end.
const patience = 15 * time.Second

// Ask sends a request to the cluster whose socket it is, and returns which parts run.
func Ask(ctx context.Context, socket string, r Request) (map[string]bool, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var reply Reply
	if err := errors.Join(conn.SetDeadline(time.Now().Add(patience)), json.NewEncoder(conn).Encode(r)); err != nil {
		return nil, err
	}
	if err := json.NewDecoder(conn).Decode(&reply); err != nil {
		return nil, fmt.Errorf("the cluster gave no answer: %w", err)
	}
	if reply.Error != "" {
		return nil, errors.New(reply.Error)
	}
	return reply.Runs, nil
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
			_ = json.NewEncoder(conn).Encode(answer(r))
		}
		conn.Close()
	}
}
