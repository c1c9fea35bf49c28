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
	socket, err := net.ListenPacket("ip4:icmp", c.PodCIDR.Masked().Addr().String())
	if err != nil {
		return fmt.Errorf("ask other nodes: %w", err)
	}
	defer socket.Close()
	stop := context.AfterFunc(ctx, func() { socket.Close() })
	defer stop()
	switch err := echo(socket, ready); {
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case came && len(ready) == 1 && ready[0].link == 0:
		return nil
	}
	var names []string
	for _, p := range ready {
		names = append(names, fmt.Sprintf("%s (%s)", p.Name, p.Address))
	}
	open := "they are on this node's segment, so let packets with pods' addresses pass between the nodes, in both directions"
	switch tunnel := slices.ContainsFunc(ready, func(w way) bool { return w.link == 0 }); {
	case tunnel && came:
		open = "theirs arrive here, so let UDP port 4789 (VXLAN) out of this node, and into those"
	case tunnel:
		open = "nor does anything else, so let UDP port 4789 (VXLAN) into this node from those, and out of it"
	}
	return fmt.Errorf("no answer to a ping comes back from the pods' network of %s: %s", strings.Join(names, ", "), open)
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
	x := rand.Uint32()
	request := []byte{8, 0, 0xf7, 0xff, 0, 0, 0, 0} // RFC 792: echo request. The checksum is always this: what follows adds up to nothing
	request = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(request, x), ^x)
	for _, p := range peers {
		_, _ = socket.WriteTo(request, &net.IPAddr{IP: p.PodCIDR.Masked().Addr().AsSlice()}) // what cannot be sent is not answered
	}
	err := socket.SetReadDeadline(time.Now().Add(time.Second))
	for answer := make([]byte, 64); err == nil; {
		var size int
		if size, _, err = socket.ReadFrom(answer); err == nil && size == len(request) && answer[0] == 0 && bytes.Equal(answer[4:size], request[4:]) {
			return nil
		}
	}
	return err
}
