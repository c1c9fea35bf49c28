package proxy

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	chunk  = 400      // elements a message: what nests in an attribute is less than 64 KiB
	buffer = 64 << 20 // bytes of the socket: a transaction is one datagram, and each of its messages is acknowledged
)

// NFT is the kernel's table of one node, in the process's network namespace. Use NewNFT.
type NFT struct {
	conn  *nftables.Conn // lasting: closing one waits for what the kernel has still to free
	table *nftables.Table
	net   Net
	picks map[string]bool // chains that have been written
	rules string          // the handles of all our rules: a rule that others replace gets another
	seen  uint32          // the generation in which all was found intact; 0 = none
}

var _ Table = (*NFT)(nil)

// Net is where the cluster's addresses are.
type Net struct {
	Pods, Services netip.Prefix // what leaves pods for elsewhere is masqueraded; so is what comes to a ClusterIP from elsewhere
	DNS            netip.Addr   // of the services', the node's own: it has no node ports, and is not refused
}

// NewNFT names the table after cluster and node.
func NewNFT(cluster, node string, n Net) *NFT {
	return &NFT{table: &nftables.Table{Family: nftables.TableFamilyIPv4, Name: "optimist_" + cluster + "_" + node}, net: n}
}

// deleted begins a transaction that deletes the table, on a new connection: in an old one might be answers that nobody has read.
func (n *NFT) deleted() (err error) {
	if n.conn != nil {
		_ = n.conn.CloseLasting()
	}
	if n.conn, err = nftables.New(nftables.AsLasting(), nftables.WithSockOptions(enlarge)); err == nil {
		n.conn.AddTable(n.table) // so that the deletion finds one
		n.conn.DelTable(n.table)
	}
	return err
}

func enlarge[C interface{ SetReadBuffer(int) error }](c C) error {
	return errors.Join(c.SetReadBuffer(buffer), any(c).(interface{ SetWriteBuffer(int) error }).SetWriteBuffer(buffer))
}

// Write adds the chains that the delta needs; anew, a whole table takes the place of the old one between two packets.
func (n *NFT) Write(d Delta, anew bool) (err error) {
	var add []chain
	if anew {
		d.Delete, n.picks, add, err = nil, map[string]bool{}, chains(n.net), n.replace()
	}
	for _, name := range d.Add {
		if p, ok := parsePick(name); ok && !n.picks[name] {
			n.picks[name], add = true, append(add, p.chain(n.net.Pods))
		}
	}
	if err == nil {
		n.addChains(add)
		err = errors.Join(n.elements(d.Delete, n.conn.SetDeleteElements), n.elements(d.Add, n.conn.SetAddElements))
	}
	if err == nil {
		err = n.conn.Flush()
	}
	if err == nil && len(add) > 0 {
		n.rules, err = n.handles()
	}
	if err != nil {
		return fmt.Errorf("write nft table %s (does the kernel have nf_tables?): %w", n.table.Name, err)
	}
	return nil
}

// replace begins a transaction that makes a new table, with the clients that stick to a backend, each for the rest of its time.
func (n *NFT) replace() error {
	if err := n.deleted(); err != nil {
		return err
	}
	n.conn.AddTable(n.table)
	all := sets(n.table)
	clients, _ := n.conn.GetSetElements(all[0]) // nobody if there is no such map, or somebody else's
	clients = slices.DeleteFunc(clients, func(e nftables.SetElement) bool { return len(e.Key) != 16 || len(e.Val) != 8 })
	for i, e := range clients {
		clients[i] = nftables.SetElement{Key: e.Key, Val: e.Val, Timeout: e.Expires}
	}
	for _, s := range all {
		if err := n.conn.AddSet(s, nil); err != nil {
			return err
		}
	}
	return n.inChunks(all[0], clients, n.conn.SetAddElements)
}

func (n *NFT) inChunks(s *nftables.Set, all []nftables.SetElement, do func(*nftables.Set, []nftables.SetElement) error) (err error) {
	for part := range slices.Chunk(all, chunk) {
		err = errors.Join(err, do(s, part))
	}
	return err
}

func (n *NFT) addChains(all []chain) {
	for i := range all {
		all[i].Table = n.table
		n.conn.AddChain(&all[i].Chain)
	}
	for i := range all {
		for _, exprs := range all[i].rules {
			n.conn.AddRule(&nftables.Rule{Table: n.table, Chain: &all[i].Chain, Exprs: exprs})
		}
	}
}

func (n *NFT) elements(m Model, do func(*nftables.Set, []nftables.SetElement) error) (err error) {
	of := map[string][]nftables.SetElement{}
	for e, v := range m {
		made := nftables.SetElement{Key: []byte(e.Key), Val: []byte(v)}
		if v == "drop" {
			made.VerdictData = &expr.Verdict{Kind: expr.VerdictDrop}
		} else if strings.HasSuffix(e.Set, "_services") {
			made.VerdictData = &expr.Verdict{Kind: expr.VerdictGoto, Chain: v}
		}
		of[e.Set] = append(of[e.Set], made)
	}
	for name, all := range of {
		err = errors.Join(err, n.inChunks(&nftables.Set{Table: n.table, Name: name}, all, do))
	}
	return err
}

// Intact reads all of it, unless nobody has changed any table since it last was.
func (n *NFT) Intact(m Model) (bool, error) {
	now, err := generation()
	if err != nil || now == n.seen {
		return err == nil, err
	}
	rules, err := n.handles()
	if err != nil || rules != n.rules {
		return false, err
	}
	there, err := n.read()
	if d := diff(m, there); err != nil || len(d.Delete)+len(d.Add) > 0 {
		return false, err
	}
	n.seen = now
	return true, nil
}

// generation counts the transactions in the network namespace, from 1: ours and others'. Packets that add to a map do not count.
func generation() (uint32, error) {
	question := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETGEN, 0)
	question.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_INET})
	answer, err := question.Execute(unix.NETLINK_NETFILTER, 0)
	for _, a := range answer {
		found, _ := nl.ParseRouteAttrAsMap(a[nl.SizeofNfgenmsg:])
		if id := found[unix.NFTA_GEN_ID].Value; len(id) == 4 {
			return binary.BigEndian.Uint32(id), nil
		}
	}
	return 0, fmt.Errorf("ask for the generation of nft's tables: %w", cmp.Or(err, error(unix.ENODATA)))
}

func (n *NFT) handles() (string, error) {
	var b strings.Builder
	all, err := n.conn.ListChainsOfTableFamily(n.table.Family)
	for _, c := range all {
		if c.Table.Name == n.table.Name {
			rules, bad := n.conn.GetRules(n.table, c)
			err = errors.Join(err, bad)
			fmt.Fprintln(&b, c.Name)
			for _, r := range rules {
				fmt.Fprintln(&b, r.Handle)
			}
		}
	}
	return b.String(), err
}

// read is what is programmed. Who sticks to which backend is the packets' business.
func (n *NFT) read() (Model, error) {
	const code, head = 8, 4 // a verdict comes as attributes: its code, and a chain's name if it has one
	m := Model{}
	for _, s := range sets(n.table)[1:] {
		all, err := n.conn.GetSetElements(s)
		if err != nil {
			return nil, err
		}
		for _, e := range all {
			v := string(e.Val)
			if s.DataType == nftables.TypeVerdict {
				v = cmp.Or(strings.TrimRight(string(e.Val[min(code+head, len(e.Val)):]), "\x00"), "drop")
			}
			m[Element{s.Name, string(e.Key)}] = v
		}
	}
	return m, nil
}

// Remove deletes the table.
func (n *NFT) Remove() error {
	err := n.deleted()
	if err == nil {
		err = n.conn.Flush()
	}
	if err != nil {
		return fmt.Errorf("delete nft table %s: %w", n.table.Name, err)
	}
	return nil
}

// Forget deletes stale flows: else a UDP client is sent to where its first packet went, for as long as it goes on sending. (A TCP client notices that
// nobody answers, and connects again; kube-proxy leaves those alone, too.)
func (n *NFT) Forget(flows map[string]bool) error {
	own, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err == nil {
		_, err = netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, stale{flows, own})
	}
	if err != nil {
		return fmt.Errorf("delete stale UDP flows: %w", err)
	}
	return nil
}

type stale struct {
	flows map[string]bool
	own   []netlink.Addr // the node's
}

func (s stale) MatchConntrackFlow(f *netlink.ConntrackFlow) bool {
	to, from := f.Forward, string(f.Reverse.SrcIP.To4())+portKey(int32(f.Reverse.SrcPort))
	address, _ := netip.AddrFromSlice(to.DstIP.To4())
	front := frontend(address, "UDP", int32(to.DstPort))
	if !s.flows[front] && slices.ContainsFunc(s.own, func(a netlink.Addr) bool { return a.IP.Equal(to.DstIP) }) {
		front = frontend(everyAddress, "UDP", int32(to.DstPort))
	}
	return to.Protocol == unix.IPPROTO_UDP && s.flows[front] && !s.flows[front+from]
}
