package dns

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
	"k8s.io/apimachinery/pkg/util/cache"

	"optimist/internal/wake"
)

const (
	maxUDP     = 1232 // bytes of an answer by UDP that no path has to cut in pieces (DNS flag day 2020)
	maxAliases = 8    // in one answer
)

// Server is a node's DNS server.
type Server struct {
	Address   netip.AddrPort
	Ranges    []netip.Prefix  // of pods and Services: their reverse names are not asked outside
	Upstreams func() []string // host:port of each; read again for every question that the cache cannot answer

	zones   Zones
	log     *slog.Logger
	flights singleflight.Group
	asking  atomic.Int32          // flights under way
	good    atomic.Int32          // the upstream that answered last
	failing atomic.Bool           // and said so
	cache   *cache.LRUExpireCache // dns.Question to entry
}

// Run answers out of the zones until ctx ends. While it cannot listen, because the address is not there yet or the port is taken, it says so and tries again.
func (s *Server) Run(ctx context.Context, z Zones, log *slog.Logger) error {
	s.zones, s.log, s.cache = z, log, cache.NewLRUExpireCache(maxEntries)
	s.zones.Ranges = s.Ranges
	for said := ""; ; {
		err := s.serve(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err.Error() != said {
			said = err.Error()
			log.Warn("pods have no DNS until this is mended; who has the port, ss -lntup says", "address", s.Address, "error", err)
		}
		_ = wake.After(ctx, time.Second, nil)
	}
}

func (s *Server) serve(ctx context.Context) error {
	udp, err := net.ListenPacket("udp4", s.Address.String())
	if err != nil {
		return err
	}
	tcp, err := net.Listen("tcp4", s.Address.String())
	if err != nil {
		return errors.Join(err, udp.Close())
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, one := range []*dns.Server{{PacketConn: udp}, {Listener: tcp}} {
		one.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
			_ = w.WriteMsg(s.reply(ctx, question, one.PacketConn != nil)) // whom it does not reach asks again
		})
		one.NotifyStartedFunc = func() { context.AfterFunc(ctx, func() { _ = one.Shutdown() }) }
		group.Go(func() error { return cmp.Or(one.ActivateAndServe(), net.ErrClosed) })
	}
	s.log.Info("answering DNS", "address", s.Address)
	return group.Wait()
}

// reply answers any message that the library could parse, within the size that the asker can take.
func (s *Server) reply(ctx context.Context, question *dns.Msg, udp bool) *dns.Msg {
	m := new(dns.Msg).SetReply(question)
	m.RecursionAvailable = true
	opt, size := question.IsEdns0(), dns.MinMsgSize
	if opt != nil {
		m.SetEdns0(maxUDP, false)
		size = min(max(size, int(opt.UDPSize())), maxUDP)
	}
	if !udp {
		size = dns.MaxMsgSize
	}
	switch {
	case len(question.Question) != 1:
		m.Rcode = dns.RcodeFormatError
	case opt != nil && opt.Version() != 0:
		m.Rcode = dns.RcodeBadVers
	case question.Opcode != dns.OpcodeQuery, m.Question[0].Qclass != dns.ClassINET, m.Question[0].Qtype == dns.TypeAXFR, m.Question[0].Qtype == dns.TypeIXFR:
		m.Rcode = dns.RcodeRefused
	default:
		s.resolve(ctx, m)
	}
	m.Truncate(size)
	return m
}

// resolve answers m's question, and follows aliases wherever they lead.
func (s *Server) resolve(ctx context.Context, m *dns.Msg) {
	q := m.Question[0]
	for range maxAliases {
		records, rcode, ours := s.zones.answer(q)
		if !ours {
			found := s.forward(ctx, q)
			m.Answer, m.Ns, m.Rcode = append(m.Answer, found.Answer...), found.Ns, found.Rcode
			return
		}
		rand.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] }) // many take the first
		m.Authoritative, m.Rcode, m.Answer = true, rcode, append(m.Answer, records...)
		if len(records) == 0 {
			m.Ns = []dns.RR{soa(q.Name)}
			return
		}
		alias, ok := records[0].(*dns.CNAME)
		if !ok || q.Qtype == dns.TypeCNAME || q.Qtype == dns.TypeANY {
			return
		}
		q.Name, m.Rcode = alias.Target, dns.RcodeServerFailure // should it never end
	}
}
