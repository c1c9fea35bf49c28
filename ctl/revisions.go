package ctl

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"optimist/ctl/describe"
	"optimist/ctl/printer"
	"optimist/internal/api"
)

const (
	revisionAnnotation    = "deployment.kubernetes.io/revision"
	changeCauseAnnotation = "kubernetes.io/change-cause"
)

// revisions are a deployment's ReplicaSets, the oldest revision first: each keeps the template of its time.
type revisions []*appsv1.ReplicaSet

func revisionsOf(ctx context.Context, service api.Service, d *appsv1.Deployment) (revisions, error) {
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return nil, err
	}
	sets, err := api.ReplicaSets.List(ctx, service, d.Namespace, api.ListOptions{Selector: selector})
	var all revisions
	for _, rs := range sets {
		if metav1.IsControlledBy(rs, d) && revision(rs) > 0 {
			all = append(all, rs)
		}
	}
	slices.SortFunc(all, func(a, b *appsv1.ReplicaSet) int { return cmp.Compare(revision(a), revision(b)) })
	return all, err
}

func revision(o metav1.Object) int64 {
	n, err := strconv.ParseInt(o.GetAnnotations()[revisionAnnotation], 10, 64)
	if err != nil {
		return 0 // not rolled out yet
	}
	return n
}

// find returns a revision; 0 means the one before the newest.
func (all revisions) find(deployment string, n int64) (*appsv1.ReplicaSet, error) {
	if n == 0 {
		if len(all) < 2 {
			return nil, fmt.Errorf("no rollout history found for deployment %q", deployment)
		}
		return all[len(all)-2], nil
	}
	for _, rs := range all {
		if revision(rs) == n {
			return rs, nil
		}
	}
	return nil, fmt.Errorf("unable to find specified revision %d in history", n)
}

// print lists the revisions in kubectl's columns.
func (all revisions) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "REVISION\tCHANGE-CAUSE")
	for _, rs := range all {
		fmt.Fprintf(w, "%d\t%s\n", revision(rs), cmp.Or(rs.Annotations[changeCauseAnnotation], "<none>"))
	}
	fmt.Fprintln(w)
	return w.Flush()
}

func (h *history) show(c *cobra.Command, d *appsv1.Deployment, all revisions) error {
	rs, err := all.find(d.Name, h.revision)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s with revision #%d\n%s", printer.Named(api.DeploymentKind, d.Name), h.revision, describe.Template(&rs.Spec.Template))
	return err
}

// bare is a revision's template as its author wrote it: without the label that the controller adds.
func bare(rs *appsv1.ReplicaSet) *corev1.PodTemplateSpec {
	template := rs.Spec.Template.DeepCopy()
	delete(template.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return template
}

func sameTemplate(a, b *corev1.PodTemplateSpec) bool { return equality.Semantic.DeepEqual(a, b) }

// byName selects the one object of a name in lists and watches.
func byName(name string) fields.Selector { return fields.OneTermEqualSelector("metadata.name", name) }
