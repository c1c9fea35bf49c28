package doctor

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// port is where a doctor's pod answers, by TCP and UDP.
const port = 8080

// patience is how long a pod waits for an answer.
const patience = 3 * time.Second

// headers are what IPv4 and UDP add to a packet.
const headers = 28

// Questions are what one pod is to ask.
type Questions struct {
	Pods    map[string]string // node → address of the pod there
	Service string            // its address
	Name    string            // the Service's, as DNS has it
}

// Answers are the checks that failed, and why: "n2/udp", "service/tcp", "dns", "api". Nil is health.
type Answers map[string]string

// Serve echoes until ctx ends: whole connections by TCP, each packet by UDP.
func Serve(ctx context.Context) error {
	addr := ":" + strconv.Itoa(port)
	packets, err := net.ListenPacket("udp4", addr)
	if err != nil {
		return err
	}
	conns, err := net.Listen("tcp4", addr)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { packets.Close(); conns.Close() })
	go func() {
		buffer := make([]byte, 1<<16)
		for {
			n, from, err := packets.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = packets.WriteTo(buffer[:n], from)
		}
	}()
	for {
		c, err := conns.Accept()
		if err != nil {
			return nil
		}
		go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
	}
}

// Ask asks everything at once.
func Ask(ctx context.Context, q Questions) Answers {
	checks := map[string]func(context.Context) error{
		"service/tcp": func(ctx context.Context) error { return echo(ctx, "tcp4", q.Service, 64, false) },
		"service/udp": func(ctx context.Context) error { return echo(ctx, "udp4", q.Service, 64, false) },
		"dns":         func(ctx context.Context) error { return resolves(ctx, q.Name, q.Service) },
		"api":         apiServer,
	}
	for node, address := range q.Pods {
		checks[node+"/tcp"] = func(ctx context.Context) error { return echo(ctx, "tcp4", address, 64, false) }
		checks[node+"/udp"] = func(ctx context.Context) error { return echo(ctx, "udp4", address, 64, false) }
		checks[node+"/mtu"] = func(ctx context.Context) error { return echo(ctx, "udp4", address, mtu()-headers, true) }
	}
	failed := make(chan [2]string, len(checks))
	var g errgroup.Group
	for name, check := range checks {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			if err := check(ctx); err != nil {
				failed <- [2]string{name, err.Error()}
			}
			return nil
		})
	}
	_ = g.Wait()
	close(failed)
	answers := Answers{}
	for f := range failed {
		answers[f[0]] = f[1]
	}
	return answers
}

// echo sends size bytes and wants them back. A UDP packet is tried three times, for one may get lost; whole means that nobody may cut it up.
func echo(ctx context.Context, network, address string, size int, whole bool) error {
	conn, err := new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(address, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	defer conn.Close()
	if whole {
		if err := dontFragment(conn); err != nil {
			return err
		}
	}
	sent, back := make([]byte, size), make([]byte, size)
	for range 3 {
		_ = conn.SetDeadline(time.Now().Add(patience / 3))
		if _, err = conn.Write(sent); err == nil {
			_, err = io.ReadFull(conn, back)
		}
		if err == nil || network == "tcp4" {
			return err
		}
	}
	return fmt.Errorf("%d bytes: %w", size, err)
}

func resolves(ctx context.Context, name, want string) error {
	found, err := (&net.Resolver{PreferGo: true}).LookupNetIP(ctx, "ip4", name)
	if err == nil && !slices.ContainsFunc(found, func(a netip.Addr) bool { return a.Unmap().String() == want }) {
		err = fmt.Errorf("%s is %v, want %s", name, found, want)
	}
	return err
}

// apiServer reaches the API server as programs in pods do; what it says to strangers does not matter.
func apiServer(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp4", "kubernetes.default.svc:443")
	if err == nil {
		err = conn.Close()
	}
	return err
}

func mtu() int {
	eth0, err := net.InterfaceByName("eth0")
	if err != nil {
		return 1280
	}
	return eth0.MTU
}
