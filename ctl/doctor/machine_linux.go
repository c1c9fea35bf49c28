package doctor

import (
	"io"
	"net"
	"os"
	"os/exec"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	ports "optimist/internal/port"
)

// Here is this machine.
func Here(pods string, node bool) (Machine, error) {
	var disk unix.Statfs_t
	_ = unix.Statfs("/var/lib", &disk)
	state, err := unix.Adjtimex(&unix.Timex{})
	host, _ := os.Hostname()
	return Machine{
		Files: os.DirFS("/"), Listen: tryListen, Firewall: dropping, Root: os.Geteuid() == 0, Hostname: host, Node: node, Pods: pods,
		Has:      func(program string) bool { _, err := exec.LookPath(program); return err == nil },
		Unsynced: err == nil && state == unix.TIME_ERROR,
		Free:     disk.Bavail * uint64(disk.Bsize),
	}, nil
}

func tryListen(network, addr string) (err error) {
	var c io.Closer
	if network == "udp" {
		c, err = net.ListenPacket(network, addr)
	} else {
		c, err = ports.Listen(addr)
	}
	if err == nil {
		err = c.Close()
	}
	return err
}

// dropping are the tables whose chain for forwarded packets drops what no rule of it accepts. iptables' old interface is asked by its own program.
func dropping() (tables []string, err error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, err
	}
	chains, err := conn.ListChains()
	for _, c := range chains {
		forward := c.Hooknum != nil && *c.Hooknum == *nftables.ChainHookForward
		family := map[nftables.TableFamily]string{nftables.TableFamilyIPv4: "ip", nftables.TableFamilyINet: "inet"}[c.Table.Family]
		if name := family + " " + c.Table.Name; family != "" && forward && (c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop || name == "inet firewalld") {
			tables = append(tables, name)
		}
	}
	if names, _ := os.ReadFile("/proc/net/ip_tables_names"); strings.Contains(string(names), "filter") {
		if out, _ := exec.Command("iptables-legacy", "-S", "FORWARD").Output(); strings.HasPrefix(string(out), "-P FORWARD DROP") {
			tables = append(tables, "iptables' filter")
		}
	}
	return tables, err
}
