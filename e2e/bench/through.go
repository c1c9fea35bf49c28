//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"optimist/e2e/real"
)

// through compares requests, each over a new connection, to a pod's own address with those through its Service: in a cluster of two real nodes, from
// a pod on each, by turns.
func through(ctx context.Context, p plan) (figures []figure, err error) {
	c, err := real.New("b")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.Up("--nodes", "2"); err != nil {
		return nil, err
	}
	for _, args := range [][]string{{"apply", "-f", filepath.Join(real.Top, "e2e/real/testdata/pair.yaml")}, {"rollout", "status", "deployment/server"}, {"rollout", "status", "deployment/client"}} {
		if _, err := c.Ctl(args...); err != nil {
			return nil, err
		}
	}
	column := func(app string, n int) ([]string, error) {
		out, err := c.Ctl("get", "pods", "-l", "app="+app, "-o", "wide", "--no-headers")
		var all []string
		for line := range strings.Lines(out) {
			all = append(all, strings.Fields(line)[n])
		}
		return all, err
	}
	servers, err := column("server", 5)
	clients, err2 := column("client", 0)
	nodes, err3 := column("client", 6)
	home, err4 := column("server", 6)
	service, err5 := c.Ctl("get", "service", "server", "--no-headers")
	if err := errors.Join(err, err2, err3, err4, err5); err != nil {
		return nil, err
	}
	direct, through := servers[0]+":8080", strings.Fields(service)[2]+":80" // by address: DNS has its own figure
	for i, client := range clients {
		rates := map[string][]float64{}
		for round := range 2 * p.rounds {
			targets := []string{direct, through}
			if round%2 == 1 {
				slices.Reverse(targets)
			}
			for _, target := range targets {
				out, err := c.CtlContext(ctx, "", "exec", client, "--", "/web", "ask", "-for", "1s", target)
				if err != nil {
					return nil, err
				}
				n, _ := strconv.Atoi(strings.Fields(out)[0])
				rates[target] = append(rates[target], float64(n))
			}
		}
		where := "on the pod's node"
		if nodes[i] != home[0] {
			where = "on another node"
		}
		figures = append(figures, figure{name: "requests through a Service / direct, from a pod " + where, reach: "≥ 0.90",
			value: ratio(rates[through], rates[direct])})
	}
	return figures, ctx.Err()
}

// upThree measures `ctl up --nodes 3` from nothing until a Deployment spread over the nodes answers by its Service's name.
func upThree(ctx context.Context, p plan) (figures []figure, err error) {
	var times []time.Duration
	for range p.rounds {
		took, err := once(ctx)
		if err != nil {
			return nil, err
		}
		times = append(times, took)
	}
	slices.Sort(times)
	return []figure{{name: "ctl up --nodes 3, images, a Deployment on them, its first answer by the Service's name", reach: "≤ 10 s",
		value: fmt.Sprintf("%.1f s [%.1f]", at(times, 0.5).Seconds(), times[len(times)-1].Seconds())}}, nil
}

func once(ctx context.Context) (took time.Duration, err error) {
	c, err := real.New("b")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	began := time.Now()
	if err := c.Up("--nodes", "3"); err != nil {
		return 0, err
	}
	three := filepath.Join(real.Top, "e2e/real/testdata/three.yaml")
	for _, args := range [][]string{{"apply", "-f", three}, {"rollout", "status", "deployment/three"}} {
		if _, err := c.Ctl(args...); err != nil {
			return 0, err
		}
	}
	for ctx.Err() == nil {
		if _, err := c.CtlContext(ctx, "", "exec", "deployment/three", "--", "/web", "ask", "-timeout", "1s", "three"); err == nil {
			return time.Since(began), nil
		}
	}
	return 0, ctx.Err()
}
