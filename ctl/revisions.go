package ctl

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/ctl/describe"
	"optimist/internal/api"
)

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
