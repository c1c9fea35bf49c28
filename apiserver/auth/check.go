package auth

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"

	"optimist/internal/api"
)

// Checks refuse what only the finished object shows: who gives away more than he has, a node that makes itself attractive, who approves for a signer
// that is not his. Gate is set once the registry that runs them is behind it.
type Checks struct{ Gate *Gate }

// Check implements registry.Checker.
func (c *Checks) Check(ctx context.Context, r api.Request, object, old api.Object) error {
	u, known := api.UserFrom(ctx)
	if object == nil || !known {
		return nil
	}
	if csr, ok := object.(*certificatesv1.CertificateSigningRequest); ok {
		return c.request(ctx, u, r, csr, old)
	}
	name, isNode := strings.CutPrefix(u.Name, api.NodePrefix)
	if node, ok := object.(*corev1.Node); ok && isNode && u.In(api.GroupNodes) {
		was, _ := old.(*corev1.Node)
		return c.node(name, r, node, was)
	}
	var gives func() error // rights to others
	switch o := object.(type) {
	case *rbacv1.Role:
		gives = func() error { return c.role(ctx, u, r, o, o.Rules, false) }
	case *rbacv1.ClusterRole:
		was, _ := old.(*rbacv1.ClusterRole)
		gives = func() error {
			return c.role(ctx, u, r, o, o.Rules, o.AggregationRule != nil || was != nil && was.AggregationRule != nil)
		}
	case *rbacv1.RoleBinding:
		gives = func() error { return c.binding(ctx, u, r, o, o.RoleRef) }
	case *rbacv1.ClusterRoleBinding:
		gives = func() error { return c.binding(ctx, u, r, o, o.RoleRef) }
	}
	if gives == nil || almighty(u) || old != nil && onlyCollected(object, old) {
		return nil
	}
	return gives()
}

// onlyCollected reports whether a write changes only what the garbage collector changes.
func onlyCollected(object, old api.Object) bool {
	a, b := object.DeepCopyObject().(api.Object), old.DeepCopyObject().(api.Object)
	for _, o := range []api.Object{a, b} {
		o.SetOwnerReferences(nil)
		o.SetFinalizers(nil)
		o.SetManagedFields(nil)
		o.SetResourceVersion("")
	}
	return equality.Semantic.DeepEqual(a, b)
}

// everything is what who collects rules of whatever roles must be allowed.
var everything = []rbacv1.PolicyRule{{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}}, {Verbs: []string{"*"}, NonResourceURLs: []string{"*"}}}

func (c *Checks) role(ctx context.Context, u api.User, r api.Request, o api.Object, rules []rbacv1.PolicyRule, collects bool) error {
	if ok, _, err := c.Gate.may(ctx, u, ask{verb: "escalate", group: r.Kind.Group, resource: r.Kind.Plural, namespace: r.Key.Namespace, name: o.GetName()}); ok || err != nil {
		return err
	}
	err := c.holds(ctx, u, r.Key.Namespace, rules)
	if err == nil && collects && c.holds(ctx, u, "", everything) != nil {
		err = errors.New("must have cluster-admin privileges to use the aggregationRule")
	}
	return orForbidden(r, o, err)
}

func (c *Checks) binding(ctx context.Context, u api.User, r api.Request, o api.Object, ref rbacv1.RoleRef) error {
	kind := api.ClusterRoleKind
	if ref.Kind == api.RoleKind.Name {
		kind = api.RoleKind
	}
	ns := r.Key.Namespace
	if ok, _, err := c.Gate.may(ctx, u, ask{verb: "bind", group: kind.Group, resource: kind.Plural, namespace: ns, name: ref.Name}); ok || err != nil {
		return err
	}
	rules, found := c.Gate.rbac.rules(ref, ns)
	if !found {
		return kind.NotFound(ref.Name)
	}
	return orForbidden(r, o, c.holds(ctx, u, ns, rules))
}

func orForbidden(r api.Request, o api.Object, err error) error {
	if err == nil {
		return nil
	}
	return apierrors.NewForbidden(r.Kind.Resource(), o.GetName(), err)
}

// holds reports what of some rules a user may not do himself in a namespace.
func (c *Checks) holds(ctx context.Context, u api.User, ns string, rules []rbacv1.PolicyRule) error {
	missing := map[ask][]string{} // verbs of what is the same but for the verb
	for a := range pieces(rules) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(missing) == maxMissing { // says enough
			break
		}
		a.namespace = ns
		ok, _, err := c.Gate.may(ctx, u, a)
		if err != nil {
			return err
		}
		verb := string(a.verb)
		if a.path == "" {
			a.verb = ""
		}
		if !ok && !slices.Contains(missing[a], verb) {
			missing[a] = append(missing[a], verb)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	var lines []string
	for a, verbs := range missing {
		lines = append(lines, compact(a, verbs))
	}
	slices.Sort(lines)
	return fmt.Errorf("user %q (groups=%q) is attempting to grant RBAC permissions not currently held:\n%s", u.Name, u.Groups, strings.Join(lines, "\n"))
}

// maxMissing is how much a refusal lists of what somebody may not do himself.
const maxMissing = 200

// pieces yields the single things that rules allow. A rule of a megabyte has billions of them: nobody may keep them.
func pieces(rules []rbacv1.PolicyRule) iter.Seq[ask] {
	return func(yield func(ask) bool) {
		for _, r := range rules {
			names := r.ResourceNames
			if len(names) == 0 {
				names = []string{""}
			}
			for _, v := range r.Verbs {
				for _, url := range r.NonResourceURLs {
					if !yield(ask{verb: api.Verb(v), path: url}) {
						return
					}
				}
				for _, group := range r.APIGroups {
					for _, resource := range r.Resources {
						for _, name := range names {
							if !yield(ask{verb: api.Verb(v), group: group, resource: resource, name: name}) {
								return
							}
						}
					}
				}
			}
		}
	}
}

// compact is Kubernetes' way to write a rule in one line.
func compact(a ask, verbs []string) string {
	if a.path != "" {
		return fmt.Sprintf("{NonResourceURLs:%q, Verbs:%q}", []string{a.path}, verbs)
	}
	name := ""
	if a.name != "" {
		name = fmt.Sprintf("ResourceNames:%q, ", []string{a.name})
	}
	return fmt.Sprintf("{APIGroups:%q, Resources:%q, %sVerbs:%q}", []string{a.group}, []string{a.resource}, name, verbs)
}

// node keeps a node from steering pods to itself, and from itself: by taints, and by labels that others rely on.
func (c *Checks) node(name string, r api.Request, n, was *corev1.Node) error {
	var bad []string
	word, had := fmt.Sprintf("node %q is not allowed to set the following labels", name), map[string]string(nil)
	if was != nil {
		word, had = "is not allowed to modify labels", was.Labels
	}
	for label := range labels.Merge(had, n.Labels) {
		before, did := had[label]
		if now, does := n.Labels[label]; (before != now || did != does) && reserved(label) {
			bad = append(bad, label)
		}
	}
	var err error
	switch {
	case was != nil && !equality.Semantic.DeepEqual(n.Spec.Taints, was.Spec.Taints):
		err = fmt.Errorf("node %q is not allowed to modify taints", name)
	case was != nil && !equality.Semantic.DeepEqual(n.OwnerReferences, was.OwnerReferences):
		err = fmt.Errorf("node %q is not allowed to modify ownerReferences", name)
	case len(bad) > 0:
		slices.Sort(bad)
		err = fmt.Errorf("%s: %s", word, strings.Join(bad, ", "))
	}
	return orForbidden(r, n, err)
}

// ownLabels are those of Kubernetes that a node may give itself.
var ownLabels = strings.Fields(`kubernetes.io/hostname kubernetes.io/os kubernetes.io/arch beta.kubernetes.io/os beta.kubernetes.io/arch beta.kubernetes.io/instance-type
	node.kubernetes.io/instance-type topology.kubernetes.io/zone topology.kubernetes.io/region failure-domain.beta.kubernetes.io/zone failure-domain.beta.kubernetes.io/region`)

// reserved reports whether a label is one on which administrators, or Kubernetes, want to rely.
func reserved(label string) bool {
	domain, _, has := strings.Cut(label, "/")
	in := func(d string) bool { return has && (domain == d || strings.HasSuffix(domain, "."+d)) }
	return in("node-restriction.kubernetes.io") ||
		(in("kubernetes.io") || in("k8s.io")) && !in("kubelet.kubernetes.io") && !in("node.kubernetes.io") && !slices.Contains(ownLabels, label)
}

// request decides on a CertificateSigningRequest: nobody asks for the group that may do everything, and who approves or signs may do so for its signer.
func (c *Checks) request(ctx context.Context, u api.User, r api.Request, csr *certificatesv1.CertificateSigningRequest, old api.Object) error {
	if old == nil {
		if csr.Spec.SignerName == certificatesv1.KubeAPIServerClientSignerName && asksFor(csr, api.GroupMasters) {
			return orForbidden(r, csr, fmt.Errorf("use of %s signer with %s group is not allowed", csr.Spec.SignerName, api.GroupMasters))
		}
		return nil
	}
	was := old.(*certificatesv1.CertificateSigningRequest)
	verb := map[string]api.Verb{"approval": "approve", "status": "sign"}[r.Sub]
	if verb == "" || verb == "sign" && slices.Equal(was.Status.Certificate, csr.Status.Certificate) && equality.Semantic.DeepEqual(was.Status.Conditions, csr.Status.Conditions) {
		return nil
	}
	domain, _, _ := strings.Cut(was.Spec.SignerName, "/")
	for _, name := range []string{was.Spec.SignerName, domain + "/*"} {
		if ok, _, err := c.Gate.may(ctx, u, ask{verb: verb, group: certificatesv1.GroupName, resource: "signers", name: name}); ok || err != nil {
			return err
		}
	}
	return orForbidden(r, csr, fmt.Errorf("user not permitted to %s requests with signerName %q", verb, was.Spec.SignerName))
}

func asksFor(csr *certificatesv1.CertificateSigningRequest, group string) bool {
	block, _ := pem.Decode(csr.Spec.Request)
	if block == nil {
		return false // the registry takes no such request
	}
	req, err := x509.ParseCertificateRequest(block.Bytes)
	return err == nil && slices.Contains(req.Subject.Organization, group)
}
