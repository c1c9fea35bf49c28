package kinds

import (
	"reflect"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

// Who may grant what is the authoriser's affair; here it is only looked at whether a role or binding says something at all.

// createdColumn is what Kubernetes shows of kinds that it has no columns for.
var createdColumn = registry.Column{Name: "Created At", Type: "date", Description: "When the object was created.",
	Cell: func(o api.Object, _ time.Time) any { return o.GetCreationTimestamp().UTC().Format(time.RFC3339) }}

// named lets everything be a name that can stand in a path: system:node.
func named(r registry.Rules) registry.Rules {
	r.Name = func(name string, _ bool) []string { return content.IsPathSegmentName(name) }
	return r
}

func roleRules() registry.Rules { return named(stored[*rbacv1.Role](api.RoleKind, nil, createdColumn)) }

func clusterRoleRules() registry.Rules {
	return named(stored[*rbacv1.ClusterRole](api.ClusterRoleKind, nil, createdColumn))
}

func roleBindingRules() registry.Rules {
	return named(stored(api.RoleBindingKind, fixed[*rbacv1.RoleBinding]("roleRef"),
		bindingColumns(func(b *rbacv1.RoleBinding) (rbacv1.RoleRef, []rbacv1.Subject) { return b.RoleRef, b.Subjects })...))
}

func clusterRoleBindingRules() registry.Rules {
	return named(stored(api.ClusterRoleBindingKind, fixed[*rbacv1.ClusterRoleBinding]("roleRef"),
		bindingColumns(func(b *rbacv1.ClusterRoleBinding) (rbacv1.RoleRef, []rbacv1.Subject) { return b.RoleRef, b.Subjects })...))
}

func bindingColumns[T api.Object](of func(T) (rbacv1.RoleRef, []rbacv1.Subject)) []registry.Column {
	subjects := func(kind string) func(T) any {
		return func(o T) any {
			var all []string
			_, subjects := of(o)
			for _, s := range subjects {
				if s.Kind == kind {
					all = append(all, strings.TrimPrefix(s.Namespace+"/", "/")+s.Name)
				}
			}
			return strings.Join(all, ", ")
		}
	}
	return append([]registry.Column{
		column("Role", "string", "What is granted.", func(o T) any { ref, _ := of(o); return ref.Kind + "/" + ref.Name }), registry.AgeColumn},
		wide(column("Users", "string", "To which users.", subjects(rbacv1.UserKind)), column("Groups", "string", "To which groups.", subjects(rbacv1.GroupKind)),
			column("ServiceAccounts", "string", "To which ServiceAccounts.", subjects(rbacv1.ServiceAccountKind)))...)
}

var rbacDefaults = []rule{
	filled(func(r *rbacv1.RoleRef) { fill(&r.APIGroup, rbacv1.GroupName) }),
	filled(func(s *rbacv1.Subject) {
		if s.Kind == rbacv1.UserKind || s.Kind == rbacv1.GroupKind {
			fill(&s.APIGroup, rbacv1.GroupName)
		}
	}),
}

var rbacChecks = []rule{
	each(func(_ *field.Path, r *rbacv1.Role) (faults field.ErrorList) {
		for i, p := range r.Rules {
			at := field.NewPath("rules").Index(i).Child("nonResourceURLs")
			faults = append(faults, when(len(p.NonResourceURLs) > 0, field.Invalid(at, p.NonResourceURLs, "namespaced rules cannot apply to non-resource URLs"))...)
		}
		return faults
	}),
	fields[rbacv1.PolicyRule]("verbs", required()),
	wrong("nonResourceURLs", "rules cannot apply to both regular resources and non-resource URLs", func(r *rbacv1.PolicyRule) (any, bool) {
		return r.NonResourceURLs, len(r.NonResourceURLs) > 0 && len(r.APIGroups)+len(r.Resources)+len(r.ResourceNames) > 0
	}),
	missing("apiGroups", "resource rules must supply at least one api group", func(r *rbacv1.PolicyRule) bool { return len(r.NonResourceURLs)+len(r.APIGroups) == 0 }),
	missing("resources", "resource rules must supply at least one resource", func(r *rbacv1.PolicyRule) bool { return len(r.NonResourceURLs)+len(r.Resources) == 0 }),
	fields[rbacv1.AggregationRule]("clusterRoleSelectors", required(every(some(func(at *field.Path, s metav1.LabelSelector) field.ErrorList {
		_, err := metav1.LabelSelectorAsSelector(&s)
		return when(err != nil, field.Invalid(at, s, "invalid label selector."))
	})))),
	fields[rbacv1.RoleRef]("apiGroup", oneOfKnown(rbacv1.GroupName)),
	fields[rbacv1.RoleRef]("kind", oneOfKnown("Role", "ClusterRole")),
	fields[rbacv1.RoleRef]("name", required(pathSegment)),
	each(func(_ *field.Path, b *rbacv1.ClusterRoleBinding) (faults field.ErrorList) {
		faults = when(b.RoleRef.Kind == "Role", field.NotSupported(field.NewPath("roleRef", "kind"), b.RoleRef.Kind, []string{"ClusterRole"}))
		for i, s := range b.Subjects {
			faults = append(faults, when(s.Kind == rbacv1.ServiceAccountKind && s.Namespace == "", field.Required(field.NewPath("subjects").Index(i).Child("namespace"), ""))...)
		}
		return faults
	}),
	fields[rbacv1.Subject]("kind", oneOfKnown(rbacv1.ServiceAccountKind, rbacv1.UserKind, rbacv1.GroupKind)),
	fields[rbacv1.Subject]("name", required()),
	each(func(at *field.Path, s *rbacv1.Subject) field.ErrorList {
		switch group := at.Child("apiGroup"); s.Kind {
		case rbacv1.ServiceAccountKind:
			return append(optional(subdomain)(at.Child("name"), reflect.ValueOf(s.Name)), when(s.APIGroup != "", field.NotSupported(group, s.APIGroup, []string{""}))...)
		case rbacv1.UserKind, rbacv1.GroupKind:
			return when(s.APIGroup != rbacv1.GroupName, field.NotSupported(group, s.APIGroup, []string{rbacv1.GroupName}))
		}
		return nil
	}),
}
