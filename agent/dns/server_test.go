package dns

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"k8s.io/apimachinery/pkg/util/cache"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

var places atomic.Uint32

// place is an address on loopback that no other test, and no other run, uses.
func place() netip.AddrPort {
	pid, n := os.Getpid(), places.Add(1)
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(100 + n), byte(pid >> 8), byte(pid)}), 5353)
}

// start runs a server until stop, which waits for its end.
func start(t testing.TB, s *Server, z Zones) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, z, quiet) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// ask asks by UDP or TCP until somebody answers.
func ask(t testing.TB, s *Server, network, name string, kind uint16) *dns.Msg {
	t.Helper()
	q := new(dns.Msg).SetQuestion(name, kind)
	q.SetEdns0(4096, false)
	for late := time.Now().Add(time.Minute); ; {
		m, _, err := (&dns.Client{Net: network, Timeout: 10 * time.Second}).Exchange(q, s.Address.String())
		if err == nil {
			return m
		}
		if time.Now().After(late) {
			t.Fatal(err)
		}
	}
}

// said is an answer in short: its rcode, if it is not NOERROR, and what the records say.
func said(m *dns.Msg) string {
	var words []string
	if m.Rcode != dns.RcodeSuccess {
		words = append(words, dns.RcodeToString[m.Rcode])
	}
	for _, r := range m.Answer {
		words = append(words, strings.TrimPrefix(r.String(), r.Header().String()))
	}
	return strings.Join(words, " ")
}

// upstream is a server outside, which counts what it is asked.
type upstream struct {
	address string
	stop    func()
	mu      sync.Mutex
	asked   map[string]int
}

func outside(t testing.TB) *upstream {
	u := &upstream{address: place().String(), asked: map[string]int{}}
	handle := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m, name := new(dns.Msg).SetReply(q), q.Question[0].Name
		u.mu.Lock()
		u.asked[name]++
		u.mu.Unlock()
		_, udp := w.RemoteAddr().(*net.UDPAddr)
		a := func(ttl int) dns.RR { r, _ := dns.NewRR(fmt.Sprintf("%s %d IN A 192.0.2.1", name, ttl)); return r }
		switch name {
		case "none.example.com.":
			m.Rcode = dns.RcodeNameError
			r, _ := dns.NewRR("example.com. 60 IN SOA ns.example.com. root.example.com. 1 2 3 4 60")
			m.Ns = []dns.RR{r}
		case "refused.example.com.":
			m.Rcode = dns.RcodeRefused
		case "big.example.com.":
			m.Truncated = udp
			if !udp {
				m.Answer = []dns.RR{a(60)}
			}
		case "brief.example.com.":
			m.Answer = []dns.RR{a(0)}
		default:
			m.Answer = []dns.RR{a(60)}
		}
		_ = w.WriteMsg(m)
	})
	udp, err := net.ListenPacket("udp4", u.address)
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp4", u.address)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: handle}, {Listener: tcp, Handler: handle}} {
		go s.ActivateAndServe()
	}
	u.stop = sync.OnceFunc(func() { udp.Close(); tcp.Close() })
	t.Cleanup(u.stop)
	return u
}

func (u *upstream) times(name string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.asked[name]
}

func server(servers ...string) *Server {
	return &Server{cache: cache.NewLRUExpireCache(maxEntries), Address: place(), Ranges: ranges, Upstreams: func() []string { return append([]string(nil), servers...) }}
}

func expect(t *testing.T, s *Server, name, want string) {
	t.Helper()
	if got := said(ask(t, s, "udp", name, dns.TypeA)); got != want {
		t.Errorf("%s: %q, want %q", name, got, want)
	}
}

func TestServerAnswersByBothProtocols(t *testing.T) {
	var endpoints []string
	for i := range 200 {
		endpoints = append(endpoints, fmt.Sprintf("{addresses: [10.244.2.%d]}", i))
	}
	s := server()
	start(t, s, cluster(t, append(sample, service("shop/many", "clusterIP: None"), slice("shop/many", "", strings.Join(endpoints, ",")))...))
	m := ask(t, s, "udp", "WEB.shop.svc.cluster.local.", dns.TypeA)
	if said(m) != "10.96.0.20" || !m.Authoritative || !m.RecursionAvailable || m.IsEdns0() == nil || m.Question[0].Name != "WEB.shop.svc.cluster.local." {
		t.Errorf("by UDP: %v", m)
	}
	m = ask(t, s, "udp", "many.shop.svc.cluster.local.", dns.TypeA)
	if m.Compress = true; !m.Truncated || m.Len() > maxUDP || len(m.Answer) == 0 {
		t.Errorf("%d answers in %d bytes by UDP, truncated %v", len(m.Answer), m.Len(), m.Truncated)
	}
	if m := ask(t, s, "tcp", "many.shop.svc.cluster.local.", dns.TypeA); m.Truncated || len(m.Answer) != 200 {
		t.Errorf("%d answers by TCP, truncated %v", len(m.Answer), m.Truncated)
	}
	if m := ask(t, s, "udp", "nobody.shop.svc.cluster.local.", dns.TypeA); m.Rcode != dns.RcodeNameError || len(m.Ns) != 1 || m.Ns[0].Header().Name != "cluster.local." {
		t.Errorf("a name that does not exist: %v", m)
	}
	if m := ask(t, s, "udp", "99.0.96.10.in-addr.arpa.", dns.TypePTR); m.Rcode != dns.RcodeNameError || len(m.Ns) != 1 || m.Ns[0].Header().Name != "in-addr.arpa." {
		t.Errorf("an address that nobody has: %v", m)
	}
}

func TestReplyToOddQuestions(t *testing.T) {
	s := server()
	s.zones, s.log = cluster(t, sample...), quiet
	for name, row := range map[string]struct {
		change func(*dns.Msg)
		want   int
	}{
		"nothing":         {func(m *dns.Msg) { m.Question = nil }, dns.RcodeFormatError},
		"two things":      {func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, dns.RcodeFormatError},
		"a notification":  {func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }, dns.RcodeRefused},
		"another class":   {func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, dns.RcodeRefused},
		"a transfer":      {func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAXFR }, dns.RcodeRefused},
		"a later EDNS":    {func(m *dns.Msg) { m.SetEdns0(512, false); m.IsEdns0().SetVersion(1) }, dns.RcodeBadVers},
		"an honest thing": {func(m *dns.Msg) {}, dns.RcodeSuccess},
	} {
		q := new(dns.Msg).SetQuestion("web.shop.svc.cluster.local.", dns.TypeA)
		row.change(q)
		if m := s.reply(t.Context(), q, true); m.Rcode != row.want || m.Id != q.Id || !m.Response {
			t.Errorf("%s: %v", name, m)
		}
	}
}

func TestForwarding(t *testing.T) {
	u := outside(t)
	s := server(u.address)
	stop := start(t, s, cluster(t, append(sample, service("shop/alias", "type: ExternalName, externalName: web.shop.svc.cluster.local"),
		service("shop/ring", "type: ExternalName, externalName: ring.shop.svc.cluster.local"), service("shop/gone", "type: ExternalName, externalName: none.example.com"))...))
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() { expect(t, s, "Many.example.com.", "192.0.2.1") })
	}
	group.Wait()
	for range 2 {
		expect(t, s, "none.example.com.", "NXDOMAIN")
		expect(t, s, "big.example.com.", "192.0.2.1")
		expect(t, s, "refused.example.com.", "REFUSED")
	}
	for name, want := range map[string]int{"many.example.com.": 1, "none.example.com.": 1, "big.example.com.": 2, "refused.example.com.": 1} {
		if got := u.times(name); got != want {
			t.Errorf("the upstream was asked %d times for %s, want %d", got, name, want)
		}
	}
	expect(t, s, "docs.shop.svc.cluster.local.", "www.example.com. 192.0.2.1")
	expect(t, s, "alias.shop.svc.cluster.local.", "web.shop.svc.cluster.local. 10.96.0.20")
	expect(t, s, "gone.shop.svc.cluster.local.", "NXDOMAIN none.example.com.")
	expect(t, s, "ring.shop.svc.cluster.local.", "SERVFAIL"+strings.Repeat(" ring.shop.svc.cluster.local.", maxAliases))
	expect(t, s, "nobody.shop.svc.cluster.local.", "NXDOMAIN")
	stop()
	u.mu.Lock()
	defer u.mu.Unlock()
	for name := range u.asked {
		if !strings.HasSuffix(name, "example.com.") {
			t.Errorf("the upstream was asked for %s", name)
		}
	}
}

func TestUpstreamsDie(t *testing.T) {
	first, second := outside(t), outside(t)
	s := server(first.address, second.address)
	start(t, s, cluster(t, sample...))
	expect(t, s, "brief.example.com.", "192.0.2.1")
	first.stop()
	expect(t, s, "a.example.com.", "192.0.2.1")
	if n := second.times("a.example.com."); n != 1 {
		t.Errorf("the second upstream was asked %d times", n)
	}
	second.stop()
	expect(t, s, "b.example.com.", "SERVFAIL")
	expect(t, s, "a.example.com.", "192.0.2.1")     // cached
	expect(t, s, "brief.example.com.", "192.0.2.1") // too old, but nobody knows better
	expect(t, s, "web.shop.svc.cluster.local.", "10.96.0.20")
	none := server()
	start(t, none, cluster(t, sample...))
	expect(t, none, "a.example.com.", "SERVFAIL")
	self := server()
	self.Upstreams = func() []string { return []string{self.Address.String()} }
	start(t, self, cluster(t, sample...))
	expect(t, self, "a.example.com.", "SERVFAIL")
}

func TestAnUpstreamIsSilent(t *testing.T) {
	silent, err := net.ListenPacket("udp4", place().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	u := outside(t)
	s := server(silent.LocalAddr().String(), u.address)
	start(t, s, cluster(t))
	expect(t, s, "a.example.com.", "192.0.2.1")
	if s.good.Load() != 1 {
		t.Error("the next question would wait for the silent one again")
	}
	full := server(u.address)
	full.asking.Store(maxFlights)
	start(t, full, cluster(t))
	expect(t, full, "b.example.com.", "SERVFAIL")
}

// A server whose port is taken says so, and answers as soon as it is free.
func TestServerComesBack(t *testing.T) {
	s := server()
	z := cluster(t, sample...)
	stop := start(t, s, z)
	expect(t, s, "web.shop.svc.cluster.local.", "10.96.0.20")
	ctx, cancel := context.WithCancel(t.Context())
	says, done := make(lines, 16), make(chan error, 1)
	go func() { done <- (&Server{Address: s.Address}).Run(ctx, z, slog.New(slog.NewTextHandler(says, nil))) }()
	if line := <-says; !strings.Contains(line, "address already in use") {
		t.Errorf("the second server said %s", line)
	}
	stop()
	expect(t, s, "web.shop.svc.cluster.local.", "10.96.0.20")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// Whatever the library can parse gets an answer that it can pack, no longer than the asker can take.
func FuzzReply(f *testing.F) {
	s := server()
	s.zones, s.log = cluster(f, sample...), quiet
	for _, name := range []string{"web.shop.svc.cluster.local.", "1.0.96.10.in-addr.arpa.", "_sql._tcp.db.shop.svc.cluster.local.", ".", `a\.b.c.svc.cluster.local.`} {
		q := new(dns.Msg).SetQuestion(name, dns.TypeANY)
		q.SetEdns0(4096, true)
		data, err := q.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, udp bool) {
		q := new(dns.Msg)
		if q.Unpack(data) != nil {
			return
		}
		m := s.reply(t.Context(), q, udp)
		packed, err := m.Pack()
		if err != nil {
			t.Fatalf("%v in\n%v", err, m)
		}
		if m.Id != q.Id || udp && len(packed) > maxUDP {
			t.Errorf("%d bytes, id %d for %d", len(packed), m.Id, q.Id)
		}
	})
}
