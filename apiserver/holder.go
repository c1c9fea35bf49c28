package apiserver

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// holder says which process listens on a port, as well as Linux's /proc tells us: other users' processes remain unnamed without root.
func holder(addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "another process"
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		for _, inode := range listeners(table, port) {
			if pid := owner(inode); pid != "" {
				return fmt.Sprintf("process %s (%s)", pid, command(pid))
			}
		}
	}
	return "another process"
}

const listening = "0A" // the state column of /proc/net/tcp

// listeners returns the inodes of the sockets that listen on a port. A row is: "0: 0100007F:192B 00000000:0000 0A … uid 0 inode …".
func listeners(table, port string) (inodes []string) {
	f, err := os.Open(table)
	if err != nil {
		return nil
	}
	defer f.Close()
	for rows := bufio.NewScanner(f); rows.Scan(); {
		columns := strings.Fields(rows.Text())
		if len(columns) < 10 || columns[3] != listening {
			continue
		}
		_, hex, _ := strings.Cut(columns[1], ":")
		if n, err := strconv.ParseUint(hex, 16, 16); err == nil && strconv.FormatUint(n, 10) == port {
			inodes = append(inodes, columns[9])
		}
	}
	return inodes
}

// owner finds the process that has a socket open.
func owner(inode string) (pid string) {
	open, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is well-formed
	for _, fd := range open {
		if link, err := os.Readlink(fd); err == nil && link == "socket:["+inode+"]" {
			return strings.Split(fd, "/")[2]
		}
	}
	return ""
}

func command(pid string) string {
	line, err := os.ReadFile("/proc/" + pid + "/cmdline")
	if err != nil || len(line) == 0 {
		return "unknown command"
	}
	return strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))
}
