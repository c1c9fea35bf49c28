package dns

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	maxUpstreams = 3                       // as in a resolv.conf
	patience     = 1500 * time.Millisecond // with each; a libc gives up after 5 s
	maxFlights   = 256                     // further ones fail at once
	maxEntries   = 10_000                  // of the cache; then what was longest not asked for makes room
	maxSize      = 4096                    // bytes of an answer that is kept
	keepFor      = 30 * time.Second        // at most, as CoreDNS does by default
	again        = 5 * time.Second         // after a failure
	staleFor     = time.Hour               // what was known is told on while no upstream answers
)

// entry is an answer; its message is read-only.
type entry struct {
	*dns.Msg
	stored, until time.Time
}

// at is the message with the TTLs that are left.
func (e entry) at(now time.Time) *dns.Msg {
	m, age := e.Copy(), uint32(now.Sub(e.stored)/time.Second)
	for _, r := range slices.Concat(m.Answer, m.Ns) {
		h := r.Header()
		h.Ttl = max(h.Ttl, age+min(h.Ttl, ttl)) - age
	}
	return m
}

// forward answers out of the cache, or asks; it fails by rcode only.
func (s *Server) forward(ctx context.Context, q dns.Question) *dns.Msg {
	q.Name = strings.ToLower(q.Name)
	kept, known := s.cache.Get(q)
	old, _ := kept.(entry)
	if now := time.Now(); known && now.Before(old.until) {
		return old.at(now)
	}
	found, _, _ := s.flights.Do(q.String(), func() (any, error) {
		m, err := s.ask(ctx, q)
		if failing := err != nil; s.failing.Swap(failing) != failing {
			s.log.Warn("names outside the cluster", "answered", !failing, "error", err)
		}
		now := time.Now()
		e := entry{m, now, now.Add(lifetime(m))}
		if err != nil && known && now.Sub(old.stored) < staleFor {
			e = entry{old.Msg, old.stored, now.Add(again)}
		}
		if e.Len() <= maxSize {
			s.cache.Add(q, e, staleFor)
		}
		return e, nil
	})
	return found.(entry).at(time.Now())
}

// lifetime is the least TTL of an answer; what does not exist may be remembered for as long as its zone says (RFC 2308).
func lifetime(m *dns.Msg) time.Duration {
	if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return again
	}
	least := uint32(keepFor / time.Second)
	for _, r := range append(m.Answer[:len(m.Answer):len(m.Answer)], m.Ns...) {
		least = min(least, r.Header().Ttl)
		if soa, ok := r.(*dns.SOA); ok {
			least = min(least, soa.Minttl)
		}
	}
	return time.Duration(least) * time.Second
}

// ask goes through the upstreams until one knows. Beside an error, which is that none answered, stands a SERVFAIL.
func (s *Server) ask(ctx context.Context, q dns.Question) (*dns.Msg, error) {
	failed := &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeServerFailure}}
	defer s.asking.Add(-1)
	if s.asking.Add(1) > maxFlights {
		return failed, fmt.Errorf("%d questions are under way already", maxFlights)
	}
	all := slices.DeleteFunc(s.Upstreams(), func(u string) bool { return u == s.Address.String() }) // asking oneself never ends
	if all = all[:min(len(all), maxUpstreams)]; len(all) == 0 {
		return failed, errors.New("the node's resolv.conf names no server but loopback; name another by --resolv-conf")
	}
	var answered *dns.Msg
	var faults error
	first := int(s.good.Load())
	for i := range all {
		n := (first + i) % len(all)
		switch m, err := exchange(ctx, all[n], q); {
		case err != nil:
			faults = errors.Join(faults, fmt.Errorf("%s: %w", all[n], err))
		case m.Rcode == dns.RcodeSuccess || m.Rcode == dns.RcodeNameError:
			s.good.Store(int32(n))
			return m, nil
		default: // another may know
			answered = m
		}
	}
	if answered != nil {
		return answered, nil
	}
	return failed, faults
}

// exchange asks one server by UDP, and by TCP for what does not fit; only what answers the question is kept.
func exchange(ctx context.Context, server string, q dns.Question) (*dns.Msg, error) {
	question := &dns.Msg{MsgHdr: dns.MsgHdr{Id: dns.Id(), RecursionDesired: true}, Question: []dns.Question{q}}
	question.SetEdns0(maxUDP, false)
	m, _, err := (&dns.Client{Timeout: patience}).ExchangeContext(ctx, question, server)
	if err == nil && m.Truncated {
		m, _, err = (&dns.Client{Net: "tcp", Timeout: patience}).ExchangeContext(ctx, question, server)
	}
	if err != nil {
		return nil, err
	}
	return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: m.Rcode}, Answer: m.Answer, Ns: m.Ns}, nil
}
