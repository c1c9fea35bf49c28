package auth

import (
	"context"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

type answer func(ctx context.Context, r api.Request) (api.Result, error)

// answers finds who answers a question that is no object's creation; nil if it is one.
func (g *Gate) answers(t api.Target) answer {
	switch {
	case t.Kind.Is(api.ServiceAccountKind) && t.Sub == "token":
		return g.issue
	case !t.Kind.Virtual || t.Sub != "":
		return nil
	}
	return map[string]answer{
		"TokenReview":       answering(g.reviewToken),
		"SelfSubjectReview": answering(g.reviewSelf),
		"SubjectAccessReview": answering(func(ctx context.Context, q *authorizationv1.SubjectAccessReview) error {
			return g.reviewAccess(ctx, q.Spec, &q.Status)
		}),
		"LocalSubjectAccessReview": answering(g.reviewLocal),
		"SelfSubjectAccessReview": answering(func(ctx context.Context, q *authorizationv1.SelfSubjectAccessReview) error {
			u, _ := api.UserFrom(ctx)
			return g.reviewAccess(ctx, authorizationv1.SubjectAccessReviewSpec{ResourceAttributes: q.Spec.ResourceAttributes, NonResourceAttributes: q.Spec.NonResourceAttributes,
				User: u.Name, Groups: u.Groups, UID: u.UID, Extra: extra[authorizationv1.ExtraValue](u)}, &q.Status)
		}),
		"SelfSubjectRulesReview": answering(g.reviewRules),
	}[t.Kind.Name]
}

// answering makes an answer of what fills in the status of a question.
func answering[T any, P interface {
	*T
	api.Object
}](fill func(context.Context, P) error) answer {
	return func(ctx context.Context, r api.Request) (api.Result, error) {
		q, warnings, err := registry.Decode(r, api.Kinded(r.Kind, r.Version, P(new(T))).(P))
		if err == nil {
			err = fill(ctx, q)
		}
		if err != nil {
			return api.Result{}, err
		}
		return api.Result{Object: api.Kinded(r.Kind, r.Version, q), Warnings: warnings}, nil
	}
}

func info(u api.User) authenticationv1.UserInfo {
	return authenticationv1.UserInfo{Username: u.Name, UID: u.UID, Groups: u.Groups, Extra: extra[authenticationv1.ExtraValue](u)}
}

func extra[V ~[]string](u api.User) map[string]V {
	all := map[string]V{}
	for key, values := range u.Extra {
		all[key] = V(values)
	}
	return all
}

func (g *Gate) reviewSelf(ctx context.Context, q *authenticationv1.SelfSubjectReview) error {
	u, _ := api.UserFrom(ctx)
	q.Status.UserInfo = info(u)
	return nil
}

func (g *Gate) reviewToken(ctx context.Context, q *authenticationv1.TokenReview) error {
	if q.Spec.Token == "" {
		return apierrors.NewBadRequest("token is required for TokenReview in authentication")
	}
	wanted := q.Spec.Audiences
	if len(wanted) == 0 {
		wanted = []string{issuer}
	}
	u, audiences, err := g.tokens.identify(ctx, q.Spec.Token, wanted)
	q.Status = authenticationv1.TokenReviewStatus{}
	if err != nil {
		q.Status.Error = err.Error()
		return nil
	}
	q.Status.Authenticated, q.Status.User, q.Status.Audiences = true, info(u), audiences
	return nil
}

func (g *Gate) reviewLocal(ctx context.Context, q *authorizationv1.LocalSubjectAccessReview) error {
	at := field.NewPath("spec")
	var fault *field.Error
	switch a := q.Spec.ResourceAttributes; {
	case q.Spec.NonResourceAttributes != nil:
		fault = field.Invalid(at.Child("nonResourceAttributes"), q.Spec.NonResourceAttributes, "disallowed on this kind of request")
	case a != nil && a.Namespace != q.Namespace:
		fault = field.Invalid(at.Child("resourceAttributes", "namespace"), a.Namespace, "must match metadata.namespace")
	}
	if fault != nil {
		return api.LocalSubjectAccessReviewKind.Invalid(q.Name, field.ErrorList{fault})
	}
	return g.reviewAccess(ctx, q.Spec, &q.Status)
}

// reviewAccess fills in whether somebody may do something, and by what.
func (g *Gate) reviewAccess(ctx context.Context, q authorizationv1.SubjectAccessReviewSpec, status *authorizationv1.SubjectAccessReviewStatus) (err error) {
	var faults field.ErrorList
	at := field.NewPath("spec")
	if q.ResourceAttributes != nil && q.NonResourceAttributes != nil {
		faults = append(faults, field.Invalid(at.Child("nonResourceAttributes"), q.NonResourceAttributes, "cannot be specified in combination with resourceAttributes"))
	}
	if q.ResourceAttributes == nil && q.NonResourceAttributes == nil {
		faults = append(faults, field.Invalid(at.Child("resourceAttributes"), q.ResourceAttributes, "exactly one of nonResourceAttributes or resourceAttributes must be specified"))
	}
	if q.User == "" && len(q.Groups) == 0 {
		faults = append(faults, field.Invalid(at.Child("user"), q.User, "at least one of user or group must be specified"))
	}
	if len(faults) > 0 {
		return api.SubjectAccessReviewKind.Invalid("", faults)
	}
	u := api.User{Name: q.User, Groups: q.Groups, UID: q.UID}
	*status = authorizationv1.SubjectAccessReviewStatus{}
	if p := q.NonResourceAttributes; p != nil {
		status.Allowed, status.Reason, err = g.may(ctx, u, ask{verb: api.Verb(p.Verb), path: p.Path})
		return err
	}
	a := q.ResourceAttributes
	v, t := api.Verb(a.Verb), targetOf(a)
	status.Reason, err = g.judge(api.WithUser(ctx, u), v, t, func(n node) error { return n.would(ctx, v, t) })
	if apierrors.IsForbidden(err) {
		status.Reason = strings.TrimPrefix(strings.TrimPrefix(err.Error(), forbidden(u, v, t, "").Error()), ": ")
		return nil
	}
	status.Allowed = err == nil
	return err
}

// targetOf finds the kind that a review is about; one that there is not gets a row of its own.
func targetOf(a *authorizationv1.ResourceAttributes) api.Target {
	t := api.Target{Kind: &api.Kind{Group: a.Group, Plural: a.Resource}, Sub: a.Subresource, Key: api.Key{Namespace: a.Namespace, Name: a.Name}}
	for _, k := range api.Builtin.All() {
		if k.Group == a.Group && k.Plural == a.Resource {
			t.Kind = k
		}
	}
	return t
}

// would is what the node would be told; of what is not there, that it is none of its business.
func (n node) would(ctx context.Context, v api.Verb, t api.Target) (err error) {
	switch v {
	case api.VerbGet:
		_, err = n.get(ctx, t, api.GetOptions{})
	case api.VerbList, api.VerbWatch:
		var f fields.Selector
		if t.Key.Name != "" {
			f = fields.OneTermEqualSelector("metadata.name", t.Key.Name)
		}
		err = n.look(ctx, v, t, f)
	default:
		err = n.write(ctx, &api.Request{Target: t, Verb: v})
	}
	if apierrors.IsNotFound(err) {
		return n.refuse(v, t)
	}
	return err
}

// reviewRules lists what the caller may do in a namespace; of the system's own parts it does not know.
func (g *Gate) reviewRules(ctx context.Context, q *authorizationv1.SelfSubjectRulesReview) error {
	if q.Spec.Namespace == "" {
		return apierrors.NewBadRequest("no namespace on request")
	}
	if err := g.rbac.settle(ctx); err != nil {
		return err
	}
	u, _ := api.UserFrom(ctx)
	q.Status = authorizationv1.SubjectRulesReviewStatus{ResourceRules: []authorizationv1.ResourceRule{}, NonResourceRules: []authorizationv1.NonResourceRule{}}
	for b := range g.rbac.of(u, q.Spec.Namespace) {
		rules, _ := g.rbac.rules(b.ref, b.ns)
		for _, r := range rules {
			if len(r.Resources) > 0 {
				q.Status.ResourceRules = append(q.Status.ResourceRules, authorizationv1.ResourceRule{Verbs: r.Verbs, APIGroups: r.APIGroups, Resources: r.Resources, ResourceNames: r.ResourceNames})
			}
			if len(r.NonResourceURLs) > 0 {
				q.Status.NonResourceRules = append(q.Status.NonResourceRules, authorizationv1.NonResourceRule{Verbs: r.Verbs, NonResourceURLs: r.NonResourceURLs})
			}
		}
	}
	if _, builtin := g.roles[u.Name]; builtin || u.In(api.GroupNodes) || u.In(api.GroupBootstrappers) {
		q.Status.Incomplete, q.Status.EvaluationError = true, "what the system's own parts may do is built in"
	}
	return nil
}
