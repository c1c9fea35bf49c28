package ctl

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"

	"optimist/internal/api"
)

type status struct {
	*rollout
	watch    bool
	timeout  time.Duration
	revision int64
}

func statusCommand(r *rollout) *cobra.Command {
	s := &status{rollout: r}
	c := r.command("status", "Wait until a rollout is through, and tell how it goes", s.run)
	f := c.Flags()
	f.BoolVarP(&s.watch, "watch", "w", true, "Wait until the rollout is through")
	f.DurationVar(&s.timeout, "timeout", 0, "How long to wait; 0 waits as long as it takes")
	f.Int64Var(&s.revision, "revision", 0, "Give up when another revision than this one is rolled out")
	return c
}

func (s *status) run(c *cobra.Command, d *appsv1.Deployment) error {
	ctx := c.Context()
	if s.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	err := watchDeployment(ctx, s.service, api.KeyOf(d), func(d *appsv1.Deployment) (bool, error) {
		text, done, err := rolloutStatus(d, s.revision)
		if err == nil {
			_, err = fmt.Fprintln(c.OutOrStdout(), text)
		}
		return done || !s.watch, err
	})
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errors.New("timed out waiting for the condition")
	}
	return err
}

const deadlineExceeded = "ProgressDeadlineExceeded"

// rolloutStatus tells in kubectl's words how far a rollout is.
func rolloutStatus(d *appsv1.Deployment, wanted int64) (text string, done bool, err error) {
	if wanted > 0 && revision(d) != wanted {
		return "", false, fmt.Errorf("desired revision (%d) is different from the running revision (%d)", wanted, revision(d))
	}
	if d.Generation > d.Status.ObservedGeneration {
		return "Waiting for deployment spec update to be observed...", false, nil
	}
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Reason == deadlineExceeded {
			return "", false, fmt.Errorf("deployment %q exceeded its progress deadline", d.Name)
		}
	}
	waiting := func(format string, args ...any) (string, bool, error) {
		return fmt.Sprintf("Waiting for deployment %q rollout to finish: %s...", d.Name, fmt.Sprintf(format, args...)), false, nil
	}
	s := d.Status
	switch {
	case d.Spec.Replicas != nil && s.UpdatedReplicas < *d.Spec.Replicas:
		return waiting("%d out of %d new replicas have been updated", s.UpdatedReplicas, *d.Spec.Replicas)
	case s.Replicas > s.UpdatedReplicas:
		return waiting("%d old replicas are pending termination", s.Replicas-s.UpdatedReplicas)
	case s.AvailableReplicas < s.UpdatedReplicas:
		return waiting("%d of %d updated replicas are available", s.AvailableReplicas, s.UpdatedReplicas)
	}
	return fmt.Sprintf("deployment %q successfully rolled out", d.Name), true, nil
}
