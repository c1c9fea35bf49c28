package auth

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"optimist/internal/api"
	"optimist/internal/informer"
)

// rbac reads roles and bindings from a cache that its own gate's writes are laid over: a binding counts from the request after the one that made it.
type rbac struct {
	set             *informer.Set
	roles           informer.Reader[*rbacv1.Role]
	clusterRoles    informer.Reader[*rbacv1.ClusterRole]
	bindings        informer.Reader[*rbacv1.RoleBinding]
	clusterBindings informer.Reader[*rbacv1.ClusterRoleBinding]
}

const bySubject = "subject"

func newRBAC(svc api.Service) *rbac {
	r := &rbac{set: informer.NewSet(svc)}
	r.roles = informer.Watch(r.set, api.Roles, informer.Options[*rbacv1.Role]{})
	r.clusterRoles = informer.Watch(r.set, api.ClusterRoles, informer.Options[*rbacv1.ClusterRole]{})
	r.bindings = informer.Watch(r.set, api.RoleBindings, informer.Options[*rbacv1.RoleBinding]{Index: map[string]func(*rbacv1.RoleBinding) []string{
		bySubject: func(b *rbacv1.RoleBinding) []string { return subjects(b.Namespace, b.Subjects) }}})
	r.clusterBindings = informer.Watch(r.set, api.ClusterRoleBindings, informer.Options[*rbacv1.ClusterRoleBinding]{Index: map[string]func(*rbacv1.ClusterRoleBinding) []string{
		bySubject: func(b *rbacv1.ClusterRoleBinding) []string { return subjects("", b.Subjects) }}})
	return r
}

// subjects are the words by which bindings of a namespace ("" = the cluster) are found: "default/User alice".
func subjects(ns string, all []rbacv1.Subject) (words []string) {
	for _, s := range all {
		words = append(words, ns+"/"+subject(ns, s))
	}
	return words
}

func subject(ns string, s rbacv1.Subject) string {
	if s.Kind == rbacv1.ServiceAccountKind { // is a user of that name
		return rbacv1.UserKind + " " + accountName(cmp.Or(s.Namespace, ns), s.Name)
	}
	return s.Kind + " " + s.Name
}

// binding is what both kinds of bindings come to.
type binding struct {
	kind, name, ns string // ns of its roles
	ref            rbacv1.RoleRef
	to             rbacv1.Subject
}

// String is what an access review gives as the reason.
func (b binding) String() string {
	name, to := b.name, b.to.Name
	if b.ns != "" {
		name += "/" + b.ns
	}
	if b.to.Kind == rbacv1.ServiceAccountKind {
		to += "/" + b.to.Namespace
	}
	return fmt.Sprintf("%s %q of %s %q to %s %q", b.kind, name, b.ref.Kind, b.ref.Name, b.to.Kind, to)
}

// of yields the bindings of a user: the cluster's, then those of a namespace ("" = none).
func (r *rbac) of(u api.User, ns string) iter.Seq[binding] {
	who := []string{rbacv1.UserKind + " " + u.Name}
	for _, g := range u.Groups {
		who = append(who, rbacv1.GroupKind+" "+g)
	}
	is := func(word, ns string, all []rbacv1.Subject) rbacv1.Subject {
		return all[slices.IndexFunc(all, func(s rbacv1.Subject) bool { return subject(ns, s) == word })]
	}
	return func(yield func(binding) bool) {
		for _, w := range who {
			for _, b := range r.clusterBindings.Indexed(bySubject, "/"+w) {
				if !yield(binding{"ClusterRoleBinding", b.Name, "", b.RoleRef, is(w, "", b.Subjects)}) {
					return
				}
			}
		}
		for _, w := range who {
			for _, b := range r.bindings.Indexed(bySubject, ns+"/"+w) { // none has the namespace ""
				if !yield(binding{"RoleBinding", b.Name, ns, b.RoleRef, is(w, ns, b.Subjects)}) {
					return
				}
			}
		}
	}
}

// rules are those of the role that a binding in a namespace refers to; false if it is not there.
func (r *rbac) rules(ref rbacv1.RoleRef, ns string) ([]rbacv1.PolicyRule, bool) {
	if ref.Kind == api.RoleKind.Name {
		if role, ok := r.roles.Get(api.Key{Namespace: ns, Name: ref.Name}); ok {
			return role.Rules, true
		}
	} else if role, ok := r.clusterRoles.Get(api.Key{Name: ref.Name}); ok {
		return role.Rules, true
	}
	return nil, false
}

// settle waits until the cache holds what has been acknowledged; mostly it does.
func (r *rbac) settle(ctx context.Context) error {
	if !r.set.Unsure() {
		return nil
	}
	return r.set.Settle(ctx)
}

// allows says why a user may do something, or why it is not known whether he may: "" if there is nothing to say.
func (r *rbac) allows(u api.User, a ask) (ok bool, why string) {
	var faults []error
	for b := range r.of(u, a.namespace) {
		rules, found := r.rules(b.ref, b.ns)
		if !found {
			faults = append(faults, apierrors.NewNotFound(schema.GroupResource{Group: rbacv1.GroupName, Resource: strings.ToLower(b.ref.Kind)}, b.ref.Name))
		}
		if slices.ContainsFunc(rules, a.in) {
			return true, "RBAC: allowed by " + b.String()
		}
	}
	if len(faults) > 0 {
		why = "RBAC: " + utilerrors.NewAggregate(faults).Error()
	}
	return false, why
}

// ask is something that one might want to do, in RBAC's words; with a path it is about no object.
type ask struct {
	verb                             api.Verb
	group, resource, namespace, name string // resource: "pods", "pods/log"
	path                             string
}

// asking puts a request into RBAC's words: a name that is yet to be given is none, and a Namespace lies in itself.
func asking(v api.Verb, t api.Target) ask {
	a := ask{verb: v, group: t.Kind.Group, resource: t.Kind.Plural, namespace: t.Key.Namespace, name: t.Key.Name}
	if t.Sub != "" {
		a.resource += "/" + t.Sub
	} else if v == api.VerbCreate {
		a.name = ""
	}
	if t.Kind.Is(api.NamespaceKind) {
		a.namespace = a.name
	}
	return a
}

// in reports whether a rule allows it.
func (a ask) in(r rbacv1.PolicyRule) bool {
	if !has(r.Verbs, string(a.verb)) {
		return false
	}
	if a.path != "" {
		return slices.ContainsFunc(r.NonResourceURLs, func(url string) bool {
			return url == "*" || url == a.path || strings.HasSuffix(url, "*") && strings.HasPrefix(a.path, strings.TrimRight(url, "*"))
		})
	}
	_, sub, _ := strings.Cut(a.resource, "/")
	return has(r.APIGroups, a.group) && (has(r.Resources, a.resource) || sub != "" && slices.Contains(r.Resources, "*/"+sub)) &&
		(len(r.ResourceNames) == 0 || slices.Contains(r.ResourceNames, a.name))
}

func has(all []string, one string) bool {
	return slices.Contains(all, "*") || slices.Contains(all, one)
}
