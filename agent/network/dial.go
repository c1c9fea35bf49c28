package network

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"time"

	"github.com/vishvananda/netns"
)

// dialTime is more than a pod on this node needs to take a connection.
const dialTime = 10 * time.Second

// Dial connects by TCP to an address (numbers, no name) as it is seen in the network namespace at path; "" = the node's own.
func Dial(ctx context.Context, path, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTime}
	if path == "" {
		return d.DialContext(ctx, "tcp", address)
	}
	inside, err := netns.GetFromPath(path)
	if err != nil {
		return nil, fmt.Errorf("network namespace %s: %w", path, err)
	}
	defer inside.Close()
	runtime.LockOSThread() // a socket belongs to the namespace in which its thread was when it made it
	home, err := netns.Get()
	if err != nil {
		return nil, err
	}
	defer home.Close()
	if err := netns.Set(inside); err != nil {
		return nil, fmt.Errorf("network namespace %s: %w", path, err)
	}
	conn, err := d.DialContext(ctx, "tcp", address)
	if netns.Set(home) == nil {
		runtime.UnlockOSThread() // else the thread ends with this goroutine: it must not serve others
	}
	return conn, err
}
