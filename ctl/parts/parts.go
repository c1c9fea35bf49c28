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

// Request says what to do with a part. Without a verb it only asks.
type Request struct{ Verb, Part string }

// Stop and Start are the verbs.
const (
	Stop  = "stop"
	Start = "start"
)

// Reply is how the parts are afterwards.
type Reply struct {
	Parts []Part
	Error string `json:",omitempty"`
}

// Part is one of them.
type Part struct {
	Name string
	Runs bool
}

// patience is how long a part may take to end.
const patience = 15 * time.Second

// Ask sends a request to the cluster whose socket it is.
func Ask(ctx context.Context, socket string, r Request) ([]Part, error) {
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
	return reply.Parts, nil
}

// Serve answers, one request after the other, until ctx ends.
func Serve(ctx context.Context, socket string, answer func(Request) Reply) error {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) { // of one that was killed
		return err
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { l.Close() })()
	defer l.Close()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		one(conn, answer)
	}
}

// one answers one request. What is wrong with the asker is the asker's business.
func one(conn net.Conn, answer func(Request) Reply) {
	defer conn.Close()
	var r Request
	if conn.SetDeadline(time.Now().Add(patience)) == nil && json.NewDecoder(conn).Decode(&r) == nil {
		_ = json.NewEncoder(conn).Encode(answer(r))
	}
}
