package dns

import (
	"cmp"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// Resolver is what a resolv.conf says.
type Resolver struct{ Servers, Search, Options []string }

// ReadResolver reads the node's resolv.conf; "" is the machine's, or, if that names no server, what systemd-resolved knows itself. Loopback servers
// are left out: such a stub (127.0.0.53) answers only in its own network namespace, and may ask us in turn.
func ReadResolver(path string) Resolver {
	return readFirst(cmp.Or(path, "/etc/resolv.conf"), cmp.Or(path, "/run/systemd/resolve/resolv.conf"))
}

// readFirst reads the first file that names servers. One that cannot be read names none.
func readFirst(paths ...string) (r Resolver) {
	for _, p := range paths {
		text, _ := os.ReadFile(p)
		if r = parse(string(text)); len(r.Servers) > 0 {
			break
		}
	}
	return r
}

func parse(text string) (r Resolver) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		switch args := words[1:]; words[0] {
		case "nameserver":
			r.Servers = append(r.Servers, args...)
		case "search": // the last counts
			r.Search = slices.DeleteFunc(args, func(s string) bool { return s == "." })
		case "options":
			r.Options = append(r.Options, args...)
		}
	}
	r.Servers = slices.DeleteFunc(r.Servers, func(s string) bool { a, err := netip.ParseAddr(s); return err != nil || a.IsLoopback() })
	return r
}

// String is the text of a resolv.conf.
func (r Resolver) String() (text string) {
	for _, s := range r.Servers {
		text += "nameserver " + s + "\n"
	}
	for _, line := range [][]string{append([]string{"search"}, r.Search...), append([]string{"options"}, r.Options...)} {
		if len(line) > 1 {
			text += strings.Join(line, " ") + "\n"
		}
	}
	return text
}

// Upstreams are the servers with their port.
func (r Resolver) Upstreams() (all []string) {
	for _, s := range r.Servers {
		all = append(all, net.JoinHostPort(s, "53"))
	}
	return all
}
