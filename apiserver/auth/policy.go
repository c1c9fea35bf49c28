package auth

import (
	"cmp"
	"context"
	_ "embed" // policy.yaml
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"optimist/internal/api"
	"optimist/internal/reconcile"
	"optimist/internal/wake"
)

//go:embed policy.yaml
var policy []byte

// defaults are the roles and bindings that every cluster has.
var defaults = sync.OnceValues(func() ([]api.Object, error) {
	var said struct {
		Roles    []*rbacv1.ClusterRole `json:"roles"`
		Bindings map[string][]string   `json:"bindings"` // groups, by role
	}
	if err := yaml.UnmarshalStrict(policy, &said); err != nil {
		return nil, fmt.Errorf("apiserver/auth/policy.yaml: %w", err)
	}
	var all []api.Object
	for _, r := range said.Roles {
		all = append(all, r)
	}
	for _, role := range slices.Sorted(maps.Keys(said.Bindings)) {
		b := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: role}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: api.ClusterRoleKind.Name, Name: role}}
		for _, group := range said.Bindings[role] {
			b.Subjects = append(b.Subjects, rbacv1.Subject{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: group})
		}
		all = append(all, b)
	}
	for _, o := range all {
		o.SetLabels(labels.Merge(labels.Set{"kubernetes.io/bootstrapping": "rbac-defaults"}, o.GetLabels()))
		o.SetAnnotations(map[string]string{rbacv1.AutoUpdateAnnotationKey: "true"})
	}
	return all, nil
})

// Run keeps up with roles and bindings, makes those that every cluster has, and fills the roles that collect others' rules, until ctx ends.
func (g *Gate) Run(ctx context.Context) error {
	own := g.own()
	g.rbac.set.Log = g.Log
	loop := reconcile.NewLoop(reconcile.Controller{Name: "clusterrole-aggregation", Watches: []reconcile.Watch{{Kind: api.ClusterRoleKind, Map: g.rbac.collectors}},
		Reconcile: func(ctx context.Context, key api.Key) (time.Duration, error) { return 0, g.rbac.collect(ctx, own, key) },
	}, reconcile.Deps{Set: g.rbac.set, Service: own, Log: g.Log})
	running, ctx := errgroup.WithContext(ctx)
	running.Go(func() error { return g.rbac.set.Run(ctx) })
	running.Go(func() error { return loop.Run(ctx) })
	running.Go(func() error { return g.makeDefaults(ctx, own) })
	return running.Wait()
}

// own is access as the API server.
func (g *Gate) own() api.Service {
	return api.Via(func(ctx context.Context) (context.Context, api.Service, error) {
		return api.WithUser(ctx, api.User{Name: api.UserAPIServer, Groups: []string{api.GroupMasters}}), g.write, nil
	})
}

// makeDefaults makes and mends all roles, then all bindings, each at once: the store commits together what comes together.
func (g *Gate) makeDefaults(ctx context.Context, own api.Service) error {
	wanted, err := defaults()
	if err != nil {
		return err
	}
	for pause := time.Second; ctx.Err() == nil; pause = min(2*pause, time.Minute) {
		err = nil
		for _, kind := range []*api.Kind{api.ClusterRoleKind, api.ClusterRoleBindingKind} {
			var at errgroup.Group
			for _, o := range wanted {
				if api.Builtin.Of(o).Is(kind) {
					at.Go(func() error { return g.rbac.mend(ctx, own, o) })
				}
			}
			err = cmp.Or(err, at.Wait())
		}
		if err == nil || ctx.Err() != nil {
			return nil
		}
		g.Log.Warn("the roles that every cluster has could not be written, will retry", "err", err, "pause", pause)
		_ = wake.After(ctx, pause, nil)
	}
	return nil
}

// mend makes a default object, or adds what is missing to the one that is there; what somebody added to it stays.
func (r *rbac) mend(ctx context.Context, own api.Service, want api.Object) error {
	if err := r.settle(ctx); err != nil {
		return err
	}
	kind, key := api.Builtin.Of(want), api.KeyOf(want)
	var have, mended api.Object
	switch o := want.(type) {
	case *rbacv1.ClusterRole:
		if is, ok := r.clusterRoles.Get(key); ok {
			role := is.DeepCopy()
			role.Rules = append(role.Rules, missing(o.Rules, is.Rules)...)
			role.AggregationRule = cmp.Or(role.AggregationRule, o.AggregationRule)
			have, mended = is, role
		}
	case *rbacv1.ClusterRoleBinding:
		if is, ok := r.clusterBindings.Get(key); ok {
			b := is.DeepCopy()
			for _, s := range o.Subjects {
				if !slices.Contains(b.Subjects, s) {
					b.Subjects = append(b.Subjects, s)
				}
			}
			have, mended = is, b
		}
	}
	req := api.Request{Target: api.Target{Kind: kind, Key: key}, Verb: api.VerbCreate, Body: want.DeepCopyObject().(api.Object)}
	if have != nil {
		mended.SetLabels(labels.Merge(have.GetLabels(), want.GetLabels()))
		mended.SetAnnotations(labels.Merge(want.GetAnnotations(), have.GetAnnotations()))
		if strings.EqualFold(have.GetAnnotations()[rbacv1.AutoUpdateAnnotationKey], "false") || equality.Semantic.DeepEqual(have, mended) {
			return nil
		}
		req.Verb, req.Body = api.VerbUpdate, mended
	}
	_, err := own.Write(ctx, req)
	return err
}

// missing are those of the wanted rules that others do not cover.
func missing(wanted, have []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	return slices.DeleteFunc(slices.Clone(wanted), func(r rbacv1.PolicyRule) bool {
		for a := range pieces([]rbacv1.PolicyRule{r}) {
			if !slices.ContainsFunc(have, a.in) {
				return false
			}
		}
		return true
	})
}

// collectors are the keys of the roles that collect rules of others: those whose content a change of any role may change.
func (r *rbac) collectors(_, _ api.Object) (keys []api.Key) {
	for role := range r.clusterRoles.List("", nil) {
		if role.AggregationRule != nil {
			keys = append(keys, api.KeyOf(role))
		}
	}
	return keys
}

// collect gives a role the rules of those that its selectors find.
func (r *rbac) collect(ctx context.Context, own api.Service, key api.Key) error {
	role, ok := r.clusterRoles.Get(key)
	if !ok || role.AggregationRule == nil {
		return nil
	}
	var rules []rbacv1.PolicyRule
	for _, s := range role.AggregationRule.ClusterRoleSelectors {
		sel, err := metav1.LabelSelectorAsSelector(&s)
		if err != nil {
			return err
		}
		for from := range r.clusterRoles.List("", sel) {
			for _, rule := range from.Rules {
				if from.Name != role.Name && !slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool { return equality.Semantic.DeepEqual(r, rule) }) {
					rules = append(rules, rule)
				}
			}
		}
	}
	if equality.Semantic.DeepEqual(rules, role.Rules) {
		return nil
	}
	role = role.DeepCopy()
	role.Rules = rules
	_, err := api.ClusterRoles.Update(ctx, own, role)
	return err
}
