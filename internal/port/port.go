// Package port says who holds a TCP port that somebody else wanted, and what this machine is called elsewhere.
//
//	/proc/net/tcp ── port ─▶ inode of the listening socket ─▶ /proc/PID/fd ─▶ pid and command
//
// On other systems than Linux, and for other users' processes, it knows only that the port is taken.
package port

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Listen is net.Listen("tcp", addr) whose error names the process that has the port.
func Listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is in use%s: end that, or choose another port", addr, holder(addr))
	}
	return l, err
}

// holder is " by pid 7 (nginx)", or "" when it cannot be found out.
func holder(addr string) string {
	_, p, err := net.SplitHostPort(addr)
	number, err2 := strconv.Atoi(p)
	if err != nil || err2 != nil {
		return ""
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, _ := os.ReadFile(table)
		for _, line := range strings.Split(string(data), "\n") {
			if inode := listening(line, number); inode != "" {
				return process(inode)
			}
		}
	}
	return ""
}

// listening returns the socket's inode if a line of /proc/net/tcp is of a socket that listens on the port.
func listening(line string, port int) string {
	const listen = "0A"
	f := strings.Fields(line)
	if len(f) < 10 || f[3] != listen || !strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
		return ""
	}
	return f[9]
}

func process(inode string) string {
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if target, _ := os.Readlink(fd); target == "socket:["+inode+"]" {
			proc := filepath.Dir(filepath.Dir(fd))
			name, _ := os.ReadFile(filepath.Join(proc, "comm"))
			return fmt.Sprintf(" by pid %s (%s)", filepath.Base(proc), strings.TrimSpace(string(name)))
		}
	}
	return ""
}

// Outward is the address that packets to the world would have; "" = none. To connect a UDP socket sends none.
func Outward() string {
	c, err := net.Dial("udp4", "192.0.2.1:9") // TEST-NET-1, nobody's
	if err != nil {
		return ""
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).IP.String()
}
