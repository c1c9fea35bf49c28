package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// ask is the client that tests and labs run in pods: `web ask [flags] HOST:PORT[/PATH]` asks again and again, each time over a new connection, and
// prints how often it got which answer. Its exit code is 1 if any went unanswered.
func ask(ctx context.Context, args []string) int {
	set := flag.NewFlagSet("ask", flag.ExitOnError)
	count := set.Int("count", 1, "how often")
	span := set.Duration("for", 0, "ask for so long, instead of -count")
	every := set.Duration("every", 0, "the pause between two")
	limit := set.Duration("timeout", 5*time.Second, "for one answer")
	udp := set.Bool("udp", false, "by UDP")
	_ = set.Parse(args)
	fetch, began, answers, failed := overTCP, time.Now(), map[string]int{}, 0
	if *udp {
		fetch = overUDP
	}
	for n := 0; ctx.Err() == nil && (*span > 0 && time.Since(began) < *span || *span == 0 && n < *count); n++ {
		one, cancel := context.WithTimeout(ctx, *limit)
		answer, err := fetch(one, set.Arg(0))
		cancel()
		if err != nil {
			failed++
			answer = "failed: " + err.Error()
		}
		answers[strings.TrimSpace(answer)]++
		time.Sleep(*every)
	}
	for _, answer := range slices.Sorted(maps.Keys(answers)) {
		fmt.Println(answers[answer], answer)
	}
	return min(failed, 1)
}

func overTCP(ctx context.Context, target string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+strings.TrimPrefix(target, "http://"), nil)
	if err != nil {
		return "", err
	}
	r.Close = true
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return string(body), err
}

func overUDP(ctx context.Context, target string) (string, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "udp", target)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	end, _ := ctx.Deadline()
	buffer := make([]byte, 1500)
	_, err = conn.Write([]byte("?"))
	n, failed := 0, errors.Join(err, conn.SetDeadline(end))
	if failed == nil {
		n, failed = conn.Read(buffer)
	}
	return string(buffer[:n]), failed
}

// echo answers each UDP packet with the host's name.
func echo(address string) {
	conn, err := net.ListenPacket("udp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	host, _ := os.Hostname()
	buffer := make([]byte, 1500)
	for {
		_, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		_, _ = conn.WriteTo([]byte("host="+host), from)
	}
}
