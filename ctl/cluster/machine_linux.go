package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// needs are the programs that a real node runs, with the Debian package that brings each.
var needs = []struct{ program, packaged string }{
	{"containerd", "containerd"},
	{"containerd-shim-runc-v2", "containerd"},
	{"runc", "runc"},
}

// checkMachine says what this machine lacks for real containers. It installs nothing.
func checkMachine() error {
	if os.Geteuid() != 0 {
		return errors.New("real containers need root: use sudo, or try a simulated cluster as you are: ctl up --sim")
	}
	var missing, packages []string
	for _, n := range needs {
		if _, err := exec.LookPath(n.program); err != nil {
			missing = append(missing, n.program)
			if len(packages) == 0 || packages[len(packages)-1] != n.packaged {
				packages = append(packages, n.packaged)
			}
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s not found: apt install %s (or try a simulated cluster: ctl up --sim)", strings.Join(missing, ", "), strings.Join(packages, " "))
	}
	return nil
}
