package real

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Dial connects to an address inside the cluster's network namespace.
func (c *Cluster) Dial(ctx context.Context, addr string) (conn net.Conn, err error) {
	err = c.inside(func() error {
		var d net.Dialer
		conn, err = d.DialContext(ctx, "tcp", addr)
		return err
	})
	return conn, err
}

// Listen listens on an address inside it.
func (c *Cluster) Listen(addr string) (l net.Listener, err error) {
	err = c.inside(func() error {
		l, err = net.Listen("tcp", addr)
		return err
	})
	return l, err
}

// inside makes a socket there: it belongs to the namespace in which it was made.
func (c *Cluster) inside(do func() error) error {
	runtime.LockOSThread()
	home, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
	if err != nil {
		return err
	}
	defer home.Close()
	there, err := os.Open("/run/netns/" + c.netns)
	if err != nil {
		return err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	err = do()
	if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
		runtime.UnlockOSThread() // else the thread ends with this goroutine: it must not serve others
	}
	return err
}
