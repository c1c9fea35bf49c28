// Package wake has what a loop waits for: some time, a bell, or the end.
package wake

import (
	"context"
	"math"
	"time"
)

// Never is longer than anybody waits.
const Never = time.Duration(math.MaxInt64)

// Bell wakes one loop. However often it rings while the loop is busy, that looks once more. Make it with New; nil never rings.
type Bell chan struct{}

// New makes a Bell.
func New() Bell { return make(Bell, 1) }

// Ring never blocks.
func (b Bell) Ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// Until waits until then, or if that is zero for ever; else it is After.
func Until(ctx context.Context, then time.Time, b Bell) error {
	if then.IsZero() {
		return After(ctx, Never, b)
	}
	return After(ctx, time.Until(then), b)
}

// After waits until d is over or the bell rings, but no longer than ctx; it returns ctx.Err().
func After(ctx context.Context, d time.Duration, b Bell) error {
	var over <-chan time.Time
	if d != Never {
		over = time.After(d)
	}
	select {
	case <-ctx.Done():
	case <-b:
	case <-over:
	}
	return ctx.Err()
}
