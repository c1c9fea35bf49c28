//go:build linux

package network

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// wasOffChain is an empty chain: that it is there remembers that forwarding was off before we came, for as long as the table lives.
const wasOffChain = "forwarding_was_off"

// writeTable replaces the node's table in one transaction:
//
//	chain masquerade { type nat hook postrouting priority srcnat; ip saddr <pods here> ip daddr != <all pods> masquerade }
//	chain output     { type filter hook output  priority filter;  ip daddr <services> reject }
//	chain forward    { type filter hook forward priority filter;  ip daddr <services> reject }
//
// What has an endpoint was rewritten to it before these see it; so no packet to a Service's address ever leaves the machine.
func writeTable(c Config, forwardingWasOff bool) error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName(c)}
	remembered := forwardingWasOff || wasOff(conn, table)
	conn.AddTable(table) // so that the deletion finds one
	conn.DelTable(table)
	conn.AddTable(table)
	if remembered {
		conn.AddChain(&nftables.Chain{Name: wasOffChain, Table: table})
	}
	if c.PodCIDR.IsValid() {
		chain := conn.AddChain(&nftables.Chain{Name: "masquerade", Table: table, Type: nftables.ChainTypeNAT,
			Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource})
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: concat(
			address(source, expr.CmpOpEq, c.PodCIDR), address(destination, expr.CmpOpNeq, c.ClusterCIDR), []expr.Any{&expr.Masq{}})})
	}
	if c.ServiceCIDR.IsValid() {
		for name, hook := range map[string]*nftables.ChainHook{"output": nftables.ChainHookOutput, "forward": nftables.ChainHookForward} {
			chain := conn.AddChain(&nftables.Chain{Name: name, Table: table, Type: nftables.ChainTypeFilter,
				Hooknum: hook, Priority: nftables.ChainPriorityFilter})
			for _, reject := range rejects() {
				conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: concat(
					address(destination, expr.CmpOpEq, c.ServiceCIDR), reject)})
			}
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("write nft table %s (does the kernel have nf_tables?): %w", table.Name, err)
	}
	return nil
}

// Offsets in the IPv4 header.
const (
	source      = 12
	destination = 16
)

// address matches one against a prefix.
func address(offset uint32, op expr.CmpOp, p netip.Prefix) []expr.Any {
	if !p.IsValid() {
		return nil
	}
	mask := make([]byte, 4)
	for bit := range p.Bits() {
		mask[bit/8] |= 0x80 >> (bit % 8)
	}
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: op, Register: 1, Data: p.Masked().Addr().AsSlice()},
	}
}

// rejects answer at once, each protocol in its own way: TCP with a reset, anything else with "port unreachable".
func rejects() [][]expr.Any {
	return [][]expr.Any{
		{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
			&expr.Reject{Type: unix.NFT_REJECT_TCP_RST},
		},
		{&expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: 3}},
	}
}

func concat(parts ...[]expr.Any) []expr.Any {
	var all []expr.Any
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func wasOff(conn *nftables.Conn, table *nftables.Table) bool {
	chain, err := conn.ListChain(table, wasOffChain)
	return err == nil && chain != nil
}

func deleteTable(c Config) error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName(c)}
	conn.AddTable(table)
	conn.DelTable(table)
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("delete nft table %s: %w", table.Name, err)
	}
	return nil
}
