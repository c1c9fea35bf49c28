package ctl

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/api"
)

// gone waits until the object with that uid ("" = any) exists no more. One that was created anew under the name does not count.
func gone(ctx context.Context, service api.Service, t api.Target, uid types.UID) error {
	where := api.Target{Kind: t.Kind, Key: api.Key{Namespace: t.Key.Namespace}}
	events, err := service.Watch(ctx, where, api.WatchOptions{Initial: true, Fields: byName(t.Key.Name)})
	if err != nil {
		return waited(ctx, t, err)
	}
	there := false
	for batch, err := range events {
		if err != nil {
			return waited(ctx, t, err)
		}
		for _, e := range batch {
			same := e.Object != nil && (uid == "" || e.Object.GetUID() == uid)
			switch {
			case e.InitialEnd && !there, same && e.Type == api.Deleted:
				return nil
			case same:
				there = true
			}
		}
	}
	return waited(ctx, t, ctx.Err())
}

func waited(ctx context.Context, t api.Target, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("timed out waiting for the condition on %s/%s", t.Kind.Plural, t.Key.Name)
	}
	return err
}
