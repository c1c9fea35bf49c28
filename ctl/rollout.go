package ctl

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/ctl/describe"
	"optimist/ctl/printer"
	"optimist/internal/api"
)

type rollout struct {
	*session
	watch    bool
	timeout  time.Duration
	revision int64
	dry      string
}

func rolloutCommand(s *session) *cobra.Command {
	r := &rollout{session: s, dry: "none"}
	status := r.command("status", "Wait until a rollout is through, and tell how it goes", r.status)
	f := status.Flags()
	f.BoolVarP(&r.watch, "watch", "w", true, "Wait until the rollout is through")
	f.DurationVar(&r.timeout, "timeout", 0, "How long to wait; 0 waits as long as it takes")
	f.Int64Var(&r.revision, "revision", 0, "Give up when another revision than this one is rolled out")
	history := r.command("history", "List the revisions that can be gone back to", r.history)
	history.Flags().Int64Var(&r.revision, "revision", 0, "Show this one in full")
	undo := r.command("undo", "Go back to an earlier revision", r.undo)
	undo.Flags().Int64Var(&r.revision, "to-revision", 0, "Which; 0 means the one before")
	dryFlag(undo, &r.dry)
	return parent("rollout", "Follow and steer the rollout of a deployment", status, history, undo,
		r.command("restart", "Replace all pods, one after the other", r.restart),
		r.command("pause", "Hold further changes back", r.hold(true, "paused", "already paused")),
		r.command("resume", "Let held-back changes through", r.hold(false, "resumed", "not paused")),
	)
}

func (r *rollout) command(name, short string, do func(*cobra.Command, *appsv1.Deployment) error) *cobra.Command {
	return &cobra.Command{Use: name + " deployment/NAME…", Short: short, ValidArgsFunction: r.completeObjects,
		RunE: func(c *cobra.Command, args []string) error {
			return r.eachNamed(c, args, func(t api.Target) error {
				if !t.Kind.Is(api.DeploymentKind) {
					return fmt.Errorf("no rollouts are kept of %s, only of deployments", t.Kind)
				}
				d, err := api.Deployments.Get(c.Context(), r, t.Key)
				if err != nil {
					return err
				}
				return do(c, d)
			})
		}}
}

func (r *rollout) restart(c *cobra.Command, d *appsv1.Deployment) error {
	if d.Spec.Paused {
		return fmt.Errorf("deployments.apps %q can't restart paused deployment (run rollout resume first)", d.Name)
	}
	patch := fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":%q}}}}}`, time.Now().Format(time.RFC3339))
	return r.change(c, d, types.MergePatchType, patch, "restarted")
}

// hold makes pause, or resume.
func (r *rollout) hold(paused bool, did, already string) func(*cobra.Command, *appsv1.Deployment) error {
	return func(c *cobra.Command, d *appsv1.Deployment) error {
		if d.Spec.Paused == paused {
			return fmt.Errorf("deployments.apps %q is %s", d.Name, already)
		}
		return r.change(c, d, types.MergePatchType, fmt.Sprintf(`{"spec":{"paused":%t}}`, paused), did)
	}
}

func (r *rollout) change(c *cobra.Command, d *appsv1.Deployment, how types.PatchType, patch, did string) error {
	err := r.patch(c.Context(), r.target(api.DeploymentKind, d.Name), how, patch, api.Options{Manager: manager + "-rollout"})
	if err == nil {
		r.tell(c, d, "%s", did)
	}
	return err
}

func (r *rollout) tell(c *cobra.Command, d *appsv1.Deployment, format string, args ...any) {
	fmt.Fprintln(c.OutOrStdout(), printer.Named(api.DeploymentKind, d.Name), fmt.Sprintf(format, args...))
}

// undo puts an earlier template back: to the deployment this is a change like any other, and makes a new revision.
func (r *rollout) undo(c *cobra.Command, d *appsv1.Deployment) error {
	if err := checkDry(r.dry); err != nil {
		return err
	}
	if d.Spec.Paused {
		return fmt.Errorf("you cannot rollback a paused deployment; resume it first with 'ctl rollout resume deployment/%s' and try again", d.Name)
	}
	all, err := revisionsOf(c.Context(), r, d)
	if err != nil {
		return err
	}
	rs, err := all.find(d.Name, r.revision)
	if err != nil {
		return err
	}
	template := rs.Spec.Template.DeepCopy()
	delete(template.Labels, appsv1.DefaultDeploymentUniqueLabelKey) // the controller's addition
	if equality.Semantic.DeepEqual(template, &d.Spec.Template) {
		r.tell(c, d, "skipped rollback (current template already matches revision %d)", revision(rs))
		return nil
	}
	if r.dry != "none" {
		r.tell(c, d, "rolled back%s", dryRuns[r.dry])
		return nil
	}
	data, err := json.Marshal(template)
	if err != nil {
		return err
	}
	return r.change(c, d, types.JSONPatchType, fmt.Sprintf(`[{"op":"replace","path":"/spec/template","value":%s}]`, data), "rolled back")
}

func (r *rollout) status(c *cobra.Command, d *appsv1.Deployment) error {
	err := r.session.watch(c.Context(), r.timeout, r.target(api.DeploymentKind, d.Name), api.WatchOptions{Initial: true}, func(e api.Event) (bool, error) {
		switch {
		case e.Object == nil:
			return false, nil
		case e.Type == api.Deleted:
			return false, errors.New("object has been deleted")
		}
		text, done, err := progress(e.Object.(*appsv1.Deployment), r.revision)
		if err == nil {
			fmt.Fprintln(c.OutOrStdout(), text)
		}
		return done || !r.watch, err
	})
	if err != nil && c.Context().Err() == nil && !unreachable(err) {
		fmt.Fprintf(c.ErrOrStderr(), "(ctl why deployment/%s tells why)\n", d.Name)
	}
	return err
}

// progress tells in kubectl's words how far a rollout is.
func progress(d *appsv1.Deployment, wanted int64) (text string, done bool, err error) {
	if wanted > 0 && revision(d) != wanted {
		return "", false, fmt.Errorf("desired revision (%d) is different from the running revision (%d)", wanted, revision(d))
	}
	if d.Generation > d.Status.ObservedGeneration {
		return "Waiting for deployment spec update to be observed...", false, nil
	}
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded" {
			return "", false, fmt.Errorf("deployment %q exceeded its progress deadline", d.Name)
		}
	}
	s, why := d.Status, ""
	switch {
	case d.Spec.Replicas != nil && s.UpdatedReplicas < *d.Spec.Replicas:
		why = fmt.Sprintf("%d out of %d new replicas have been updated", s.UpdatedReplicas, *d.Spec.Replicas)
	case s.Replicas > s.UpdatedReplicas:
		why = fmt.Sprintf("%d old replicas are pending termination", s.Replicas-s.UpdatedReplicas)
	case s.AvailableReplicas < s.UpdatedReplicas:
		why = fmt.Sprintf("%d of %d updated replicas are available", s.AvailableReplicas, s.UpdatedReplicas)
	default:
		return fmt.Sprintf("deployment %q successfully rolled out", d.Name), true, nil
	}
	return fmt.Sprintf("Waiting for deployment %q rollout to finish: %s...", d.Name, why), false, nil
}

// revisions are a deployment's ReplicaSets, the oldest revision first: each keeps the template of its time.
type revisions []*appsv1.ReplicaSet

func revisionsOf(ctx context.Context, service api.Service, d *appsv1.Deployment) (revisions, error) {
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return nil, err
	}
	all, err := api.ReplicaSets.List(ctx, service, d.Namespace, api.ListOptions{Selector: selector})
	all = slices.DeleteFunc(all, func(rs *appsv1.ReplicaSet) bool { return !metav1.IsControlledBy(rs, d) || revision(rs) == 0 })
	slices.SortFunc(all, func(a, b *appsv1.ReplicaSet) int { return cmp.Compare(revision(a), revision(b)) })
	return all, err
}

// revision is 0 for what is not rolled out yet.
func revision(o metav1.Object) int64 {
	n, _ := strconv.ParseInt(o.GetAnnotations()["deployment.kubernetes.io/revision"], 10, 64)
	return n
}

// find returns a revision; 0 means the one before the newest.
func (all revisions) find(deployment string, n int64) (*appsv1.ReplicaSet, error) {
	i := len(all) - 2
	if n != 0 {
		i = slices.IndexFunc(all, func(rs *appsv1.ReplicaSet) bool { return revision(rs) == n })
	}
	switch {
	case i >= 0:
		return all[i], nil
	case n == 0:
		return nil, fmt.Errorf("no rollout history found for deployment %q", deployment)
	}
	return nil, fmt.Errorf("unable to find specified revision %d in history", n)
}

// history lists the revisions in kubectl's columns, or shows the one that was asked for.
func (r *rollout) history(c *cobra.Command, d *appsv1.Deployment) error {
	all, err := revisionsOf(c.Context(), r, d)
	if err != nil {
		return err
	}
	if r.revision > 0 {
		rs, err := all.find(d.Name, r.revision)
		if err == nil {
			r.tell(c, d, "with revision #%d\n%s", r.revision, strings.TrimSuffix(describe.Template(&rs.Spec.Template), "\n"))
		}
		return err
	}
	r.tell(c, d, "")
	if len(all) == 0 {
		_, err := fmt.Fprintln(c.OutOrStdout(), "No rollout history found.")
		return err
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "REVISION\tCHANGE-CAUSE")
	for _, rs := range all {
		fmt.Fprintf(w, "%d\t%s\n", revision(rs), cmp.Or(rs.Annotations["kubernetes.io/change-cause"], "<none>"))
	}
	fmt.Fprintln(w)
	return w.Flush()
}
