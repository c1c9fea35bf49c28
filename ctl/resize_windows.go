package ctl

import (
	"context"
	"time"
)

// resized delivers whenever the terminal may have changed its size: Windows sends no signal, so that is every moment.
func resized(context.Context) <-chan time.Time { return time.Tick(250 * time.Millisecond) }
