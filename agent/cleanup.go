package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"optimist/agent/network"
	"optimist/agent/runtime"
)

const lastGrace = 10 * time.Second

// Stop ends all containers of a node whose agent does not run; the agent starts them again.
func Stop(ctx context.Context, r runtime.Runtime) error {
	boxes, err := r.State(ctx)
	if err != nil {
		return err
	}
	var group errgroup.Group
	for _, b := range boxes {
		for _, c := range b.Containers {
			if c.Phase == runtime.Running {
				group.Go(func() error { return r.Stop(ctx, c.ID, lastGrace) })
			}
		}
	}
	return group.Wait()
}

// Remove takes away everything that agents made on a node: containers, sandboxes, network.
func Remove(ctx context.Context, r runtime.Runtime, n network.Network, c network.Config) error {
	faults := []error{Stop(ctx, r)}
	boxes, err := r.State(ctx)
	faults = append(faults, err, n.Setup(ctx, c))
	for _, b := range boxes {
		if err := errors.Join(n.Detach(ctx, b.Pod), r.RemoveSandbox(ctx, b.Pod)); err != nil {
			faults = append(faults, fmt.Errorf("pod %s/%s: %w", b.Namespace, b.Name, err))
		}
	}
	return errors.Join(append(faults, n.Teardown(ctx))...)
}
