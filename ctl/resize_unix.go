//go:build unix

package ctl

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// resized delivers whenever the terminal may have changed its size: the kernel says so.
func resized(ctx context.Context) <-chan os.Signal {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	context.AfterFunc(ctx, func() { signal.Stop(changed) })
	return changed
}
