//go:build linux

package network

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
)

const asked = 3 // peers at once

// Probe sends an ICMP echo request from this node's own address among the pods' to those of some peers: the way that pods' packets go, through the
// tunnel or directly, and the peers' kernels answer by themselves. Where there is just one peer to ask, whose packets arrive here while it
// does not answer, it is the peer that cannot be reached, and it says so itself.
func (n *Native) Probe(ctx context.Context) error {
	n.mu.Lock()
	c, came := n.config, n.arrived()
	ready := slices.DeleteFunc(slices.Clone(n.ways), func(w way) bool { return !w.Ready })
	n.mu.Unlock()
	rand.Shuffle(len(ready), func(i, j int) { ready[i], ready[j] = ready[j], ready[i] })
	if ready = ready[:min(asked, len(ready))]; len(ready) == 0 {
		return nil
	}
	var conn net.ListenConfig
	socket, err := conn.ListenPacket(ctx, "ip4:icmp", c.PodCIDR.Masked().Addr().String())
	if err != nil {
		return fmt.Errorf("ask other nodes: %w", err)
	}
	defer socket.Close()
	if err := echo(socket, ready); !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	if came && len(ready) == 1 && ready[0].link == 0 {
		return nil
	}
	return unreachable(ready, came)
}

// arrived reports whether packets have come out of the tunnel since it was last asked.
func (n *Native) arrived() bool {
	before := n.seen
	n.seen = 0
	if link, err := netlink.LinkByName(tunnelName(n.config)); err == nil && link.Attrs().Statistics != nil {
		n.seen = link.Attrs().Statistics.RxPackets
	}
	return n.seen > before
}

// echo returns nil when one of the peers has answered.
func echo(socket net.PacketConn, peers []way) error {
	request := make([]byte, 16) // RFC 792: type, code, checksum, identifier, sequence number, data
	request[0] = 8
	binary.BigEndian.PutUint64(request[8:], rand.Uint64())
	var sum uint32
	for i := 0; i < len(request); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(request[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(request[2:], ^uint16(sum+sum>>16))
	for _, p := range peers {
		_, _ = socket.WriteTo(request, &net.IPAddr{IP: p.PodCIDR.Masked().Addr().AsSlice()}) // what cannot be sent is not answered
	}
	if err := socket.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	for answer := make([]byte, 64); ; {
		size, _, err := socket.ReadFrom(answer)
		if err != nil {
			return err
		}
		if size == len(request) && answer[0] == 0 && bytes.Equal(answer[8:size], request[8:]) {
			return nil
		}
	}
}

// unreachable says what to open, and where.
func unreachable(peers []way, came bool) error {
	var names []string
	for _, p := range peers {
		names = append(names, fmt.Sprintf("%s (%s)", p.Name, p.Address))
	}
	text, who := "no packet comes back from the pods' network of %s: ", strings.Join(names, ", ")
	switch tunnel := slices.ContainsFunc(peers, func(w way) bool { return w.link == 0 }); {
	case tunnel && came:
		text += "theirs arrive here, so let UDP port 4789 (VXLAN) out of this node, and into those"
	case tunnel:
		text += "nor does anything else, so let UDP port 4789 (VXLAN) into this node from those, and out of it"
	default:
		text += "they are on this node's segment, so let packets with pods' addresses pass between the nodes, in both directions"
	}
	return fmt.Errorf(text, who)
}
