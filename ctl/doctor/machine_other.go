//go:build !linux

package doctor

import (
	"errors"
	"net"
)

// Here is an error: nodes need Linux.
func Here(string, bool) (Machine, error) {
	return Machine{}, errors.New("this machine can't be a node, which needs Linux; ctl doctor --cluster examines a cluster from here")
}

func dontFragment(net.Conn) error { return errors.ErrUnsupported }
