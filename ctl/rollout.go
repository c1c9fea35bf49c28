package ctl

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/ctl/printer"
	"optimist/internal/api"
)

type rollout struct {
	*session
	service api.Service
}

func rolloutCommand(s *session) *cobra.Command {
	r := &rollout{session: s}
	return parent("rollout", "Follow and steer the rollout of a deployment",
		statusCommand(r), historyCommand(r), undoCommand(r),
		r.command("restart", "Replace all pods, one after the other", r.restart),
		r.command("pause", "Hold further changes back", r.pause),
		r.command("resume", "Let held-back changes through", r.resume),
	)
}

// command is a subcommand that does one thing to each deployment that is named.
func (r *rollout) command(name, short string, do func(*cobra.Command, *appsv1.Deployment) error) *cobra.Command {
	return &cobra.Command{
		Use:               name + " deployment/NAME…",
		Short:             short,
		ValidArgsFunction: r.completeObjects,
		RunE: func(c *cobra.Command, args []string) error {
			return r.each(c, args, do)
		},
	}
}

func (r *rollout) each(c *cobra.Command, args []string, do func(*cobra.Command, *appsv1.Deployment) error) error {
	wants, err := parseArgs(api.Builtin, args)
	if err != nil {
		return usageError(c, err)
	}
	if r.service, err = r.connect(); err != nil {
		return err
	}
	var faults []error
	for _, w := range wants {
		if !w.kind.Is(api.DeploymentKind) {
			return fmt.Errorf("no rollouts are kept of %s, only of deployments", w.kind)
		}
		for _, name := range w.names {
			d, err := api.Deployments.Get(c.Context(), r.service, r.key(w.kind, name))
			if err == nil {
				err = do(c, d)
			}
			faults = append(faults, errList(err)...)
		}
	}
	return joined(faults)
}

func (r *rollout) restart(c *cobra.Command, d *appsv1.Deployment) error {
	if d.Spec.Paused {
		return fmt.Errorf("deployments.apps %q can't restart paused deployment (run rollout resume first)", d.Name)
	}
	patch := fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":%q}}}}}`, time.Now().Format(time.RFC3339))
	return r.patch(c, d, types.StrategicMergePatchType, []byte(patch), "restarted")
}

func (r *rollout) pause(c *cobra.Command, d *appsv1.Deployment) error {
	if d.Spec.Paused {
		return fmt.Errorf("deployments.apps %q is already paused", d.Name)
	}
	return r.patch(c, d, types.StrategicMergePatchType, []byte(`{"spec":{"paused":true}}`), "paused")
}

func (r *rollout) resume(c *cobra.Command, d *appsv1.Deployment) error {
	if !d.Spec.Paused {
		return fmt.Errorf("deployments.apps %q is not paused", d.Name)
	}
	return r.patch(c, d, types.StrategicMergePatchType, []byte(`{"spec":{"paused":null}}`), "resumed")
}

func (r *rollout) patch(c *cobra.Command, d *appsv1.Deployment, how types.PatchType, data []byte, did string) error {
	_, err := r.service.Write(c.Context(), api.Request{
		Target: api.Target{Kind: api.DeploymentKind, Key: api.KeyOf(d)}, Verb: api.VerbPatch,
		Patch: &api.Patch{Type: how, Data: data}, Options: api.Options{Manager: manager},
	})
	if err == nil {
		_, err = fmt.Fprintln(c.OutOrStdout(), printer.Named(api.DeploymentKind, d.Name), did)
	}
	return err
}

type undo struct {
	*rollout
	to  int64
	dry dryRun
}

func undoCommand(r *rollout) *cobra.Command {
	u := &undo{rollout: r}
	c := r.command("undo", "Go back to an earlier revision", u.run)
	c.Flags().Int64Var(&u.to, "to-revision", 0, "Which; 0 means the one before")
	u.dry.flag(c)
	return c
}

// run puts an earlier template back: to the deployment this is a change like any other, and makes a new revision.
func (u *undo) run(c *cobra.Command, d *appsv1.Deployment) error {
	if err := u.dry.check(c); err != nil {
		return err
	}
	if d.Spec.Paused {
		return fmt.Errorf("you cannot rollback a paused deployment; resume it first with 'ctl rollout resume deployment/%s' and try again", d.Name)
	}
	history, err := revisionsOf(c.Context(), u.service, d)
	if err != nil {
		return err
	}
	rs, err := history.find(d.Name, u.to)
	if err != nil {
		return err
	}
	template := bare(rs)
	if sameTemplate(template, &d.Spec.Template) {
		_, err := fmt.Fprintf(c.OutOrStdout(), "%s skipped rollback (current template already matches revision %d)\n", printer.Named(api.DeploymentKind, d.Name), revision(rs))
		return err
	}
	if u.dry.suffix() != "" {
		_, err := fmt.Fprintln(c.OutOrStdout(), printer.Named(api.DeploymentKind, d.Name), "rolled back"+u.dry.suffix())
		return err
	}
	data, err := json.Marshal([]map[string]any{{"op": "replace", "path": "/spec/template", "value": template}})
	if err != nil {
		return err
	}
	return u.patch(c, d, types.JSONPatchType, data, "rolled back")
}

type history struct {
	*rollout
	revision int64
}

func historyCommand(r *rollout) *cobra.Command {
	h := &history{rollout: r}
	c := r.command("history", "List the revisions that can be gone back to", h.run)
	c.Flags().Int64Var(&h.revision, "revision", 0, "Show this one in full")
	return c
}

func (h *history) run(c *cobra.Command, d *appsv1.Deployment) error {
	all, err := revisionsOf(c.Context(), h.service, d)
	if err != nil {
		return err
	}
	if h.revision > 0 {
		return h.show(c, d, all)
	}
	fmt.Fprintf(c.OutOrStdout(), "%s \n", printer.Named(api.DeploymentKind, d.Name))
	if len(all) == 0 {
		_, err := fmt.Fprintln(c.OutOrStdout(), "No rollout history found.")
		return err
	}
	return all.print(c.OutOrStdout())
}

// watchDeployment calls a function with a deployment's present state and every later one until it is done.
func watchDeployment(ctx context.Context, service api.Service, key api.Key, see func(*appsv1.Deployment) (done bool, err error)) error {
	events, err := service.Watch(ctx, api.Target{Kind: api.DeploymentKind, Key: api.Key{Namespace: key.Namespace}},
		api.WatchOptions{Initial: true, Fields: byName(key.Name)})
	if err != nil {
		return err
	}
	for batch, err := range events {
		if err != nil {
			return err
		}
		for _, e := range batch {
			if e.Type == api.Bookmark {
				continue
			}
			if e.Type == api.Deleted {
				return fmt.Errorf("object has been deleted")
			}
			if done, err := see(e.Object.(*appsv1.Deployment)); done || err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}
