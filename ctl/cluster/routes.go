package cluster

import (
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"net/netip"
	"os"
	"strings"
)

// routes are the IPv4 ranges that this machine has routes to, without the default route. Empty where there is no /proc.
func routes() []netip.Prefix {
	data, _ := os.ReadFile("/proc/net/route")
	var all []netip.Prefix
	for _, line := range strings.Split(string(data), "\n")[min(1, len(data)):] {
		f := strings.Fields(line)
		if len(f) < 8 {
			continue
		}
		dest, err1 := hex.DecodeString(f[1])
		mask, err2 := hex.DecodeString(f[7])
		if err1 != nil || err2 != nil || len(dest) != 4 || len(mask) != 4 {
			continue
		}
		ones := bits.OnesCount32(binary.LittleEndian.Uint32(mask))
		if ones > 0 { // /proc shows addresses in the machine's byte order
			all = append(all, netip.PrefixFrom(netip.AddrFrom4([4]byte{dest[3], dest[2], dest[1], dest[0]}), ones))
		}
	}
	return all
}
