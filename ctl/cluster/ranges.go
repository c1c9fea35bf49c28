package cluster

import (
	"fmt"
	"net/netip"
)

// defaultRanges are tried in this order, so that clusters side by side do not meet.
func defaultRanges() (ranges [][2]netip.Prefix) {
	for i := range byte(10) {
		ranges = append(ranges, [2]netip.Prefix{
			netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244 + i, 0, 0}), 16),
			netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 96 + i, 0, 0}), 16),
		})
	}
	return ranges
}

// taken is a range in use, and by whom.
type taken struct {
	netip.Prefix
	by string
}

// takenHere are the ranges of other clusters and the machine's routes.
func takenHere(others []Config, routes []netip.Prefix) (all []taken) {
	for _, o := range others {
		by := fmt.Sprintf("cluster %q", o.Name)
		if !o.Sim { // addresses of simulated pods go nowhere
			all = append(all, taken{o.ClusterCIDR, by}, taken{o.ServiceCIDR, by}, taken{o.Subnet, by})
		}
	}
	for _, r := range routes {
		all = append(all, taken{r, "a route of this machine"})
	}
	return all
}

// ranges are those that were asked for; what was left open is the first default that meets nothing in use.
func (w Wish) ranges(used []taken) (pods, services netip.Prefix, err error) {
	var wanted [2]netip.Prefix
	for i, flag := range []struct{ name, value string }{{"--cluster-cidr", w.ClusterCIDR}, {"--service-cidr", w.ServiceCIDR}} {
		if flag.value == "" {
			continue
		}
		if wanted[i], err = prefix(flag.name, flag.value, defaultRanges()[0][i]); err != nil {
			return
		}
		if by := meets(wanted[i], used); by != "" {
			err = fmt.Errorf("%s %s overlaps with %s: name a free range", flag.name, flag.value, by)
			return
		}
	}
	if wanted[0].IsValid() && wanted[1].IsValid() && wanted[0].Overlaps(wanted[1]) {
		err = fmt.Errorf("--cluster-cidr %s and --service-cidr %s overlap: pods and Services need addresses of their own", wanted[0], wanted[1])
		return
	}
	for _, r := range defaultRanges() {
		for i := range wanted {
			if wanted[i].IsValid() {
				r[i] = wanted[i]
			} else if meets(r[i], used) != "" {
				r[i] = netip.Prefix{}
			}
		}
		if r[0].IsValid() && r[1].IsValid() && !r[0].Overlaps(r[1]) {
			return r[0], r[1], nil
		}
	}
	return pods, services, fmt.Errorf("every default address range is in use here (the first by %s): name free ones with --cluster-cidr and --service-cidr", meets(defaultRanges()[0][0], used))
}

// meets says who uses a part of the range; "" = nobody.
func meets(p netip.Prefix, used []taken) string {
	for _, u := range used {
		if u.Overlaps(p) {
			return u.by + " (" + u.String() + ")"
		}
	}
	return ""
}

func prefix(flag, value string, like netip.Prefix) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(value)
	if err != nil || !p.Addr().Is4() || p.Bits() > 24 || p != p.Masked() {
		return p, fmt.Errorf("%s %q: want an IPv4 range of at least a /24 that begins on its own boundary, like %s", flag, value, like)
	}
	return p, nil
}
