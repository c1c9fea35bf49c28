package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

const (
	issuer        = "https://kubernetes.default.svc" // of tokens, and their audience if they name no other
	accountPrefix = "system:serviceaccount:"         // + namespace:name
	minLife       = 600                              // of a token, in seconds
	defaultLife   = 3600
	maxLife       = 365 * 24 * 3600
	projectedLife = 3607             // is what pods ask for; these get a year, and are told to renew after this time, for programs that read their file once
	leeway        = 60 * time.Second // for which the token of what is already past its end is still taken
)

func accountName(ns, name string) string { return accountPrefix + ns + ":" + name }

func accountGroups(ns string) []string {
	return []string{"system:serviceaccounts", "system:serviceaccounts:" + ns}
}

// account splits the name of a user who is a ServiceAccount.
func account(user string) (ns, name string, is bool) {
	rest, is := strings.CutPrefix(user, accountPrefix)
	ns, name, both := strings.Cut(rest, ":")
	return ns, name, is && both && ns != "" && name != "" && !strings.Contains(name, ":")
}

// errGone: what a token is bound to is no longer there.
var errGone = errors.New("service account token has been invalidated")

// account is whom a ServiceAccount's token speaks for, as long as everything that it is bound to lives; the audiences are those of the wanted that it is for.
func (k *Tokens) account(ctx context.Context, token string, wanted []string) (api.User, []string, error) {
	c, err := verify(k.keys, token)
	if err != nil {
		return api.User{}, nil, err
	}
	b, now := c.Kubernetes, time.Now().Unix()
	audiences := slices.DeleteFunc(slices.Clone(wanted), func(a string) bool { return !slices.Contains(c.Audiences, a) })
	switch {
	case c.Issuer != issuer || c.Subject != accountName(b.Namespace, b.Account.Name):
		return api.User{}, nil, errForged
	case now > c.Expires:
		return api.User{}, nil, errors.New("service account token has expired")
	case now < c.NotBefore-int64(leeway/time.Second):
		return api.User{}, nil, errors.New("service account token is not valid yet")
	case len(audiences) == 0:
		return api.User{}, nil, fmt.Errorf("token audiences %q is invalid for the target audiences %q", c.Audiences, wanted)
	}
	u := api.User{Name: c.Subject, UID: string(b.Account.UID), Groups: append(accountGroups(b.Namespace), authenticated), Extra: map[string][]string{}}
	know := func(key, value string) { u.Extra["authentication.kubernetes.io/"+key] = []string{value} }
	know("credential-id", "JTI="+c.ID)
	if b.Pod != nil {
		know("pod-name", b.Pod.Name)
		know("pod-uid", string(b.Pod.UID))
	}
	if b.Node != nil {
		know("node-name", b.Node.Name)
		know("node-uid", string(b.Node.UID))
	}
	return u, audiences, k.alive(ctx, b)
}

// alive reports what a token is bound to and has lost. The node of a pod's token is only told.
func (k *Tokens) alive(ctx context.Context, b bound) error {
	for _, of := range []struct {
		kind *api.Kind
		ref  *reference
		ns   string
	}{{api.ServiceAccountKind, &b.Account, b.Namespace}, {api.PodKind, b.Pod, b.Namespace}, {api.SecretKind, b.Secret, b.Namespace}, {api.NodeKind, b.Node, ""}} {
		if of.ref == nil || of.kind == api.NodeKind && b.Pod != nil {
			continue
		}
		r, err := k.Service.Get(ctx, api.Target{Kind: of.kind, Key: api.Key{Namespace: of.ns, Name: of.ref.Name}}, api.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		if err != nil || r.Object.GetUID() != of.ref.UID {
			return errGone
		}
		if end := r.Object.GetDeletionTimestamp(); end != nil && time.Since(end.Time) > leeway {
			return errGone
		}
	}
	return nil
}

var tokenRequest = metav1.TypeMeta{APIVersion: authenticationv1.SchemeGroupVersion.String(), Kind: "TokenRequest"}

// issue answers a TokenRequest.
func (g *Gate) issue(ctx context.Context, r api.Request) (api.Result, error) {
	q, _, err := registry.Decode(r, &authenticationv1.TokenRequest{TypeMeta: tokenRequest})
	if err != nil {
		return api.Result{}, err
	}
	of, err := api.ServiceAccounts.Get(ctx, g.next, r.Key)
	if err != nil {
		return api.Result{}, err
	}
	if len(g.tokens.keys) == 0 {
		return api.Result{}, apierrors.NewBadRequest("this API server has no key to sign tokens with")
	}
	var result api.Result
	if result.Warnings, err = completeRequest(q, of); err != nil {
		return api.Result{}, err
	}
	b := bound{Namespace: of.Namespace, Account: reference{of.Name, of.UID}}
	if err := g.bind(ctx, &b, q.Spec.BoundObjectRef, q.Spec.Audiences); err != nil {
		return api.Result{}, err
	}
	now, life := time.Now(), *q.Spec.ExpirationSeconds
	if b.Pod != nil && life == projectedLife && slices.Equal(q.Spec.Audiences, []string{issuer}) {
		b.WarnAfter, life = now.Unix()+life, maxLife
	}
	q.Status = authenticationv1.TokenRequestStatus{ExpirationTimestamp: metav1.NewTime(now.Add(time.Duration(*q.Spec.ExpirationSeconds) * time.Second).Truncate(time.Second))}
	q.Status.Token, err = g.tokens.keys[0].sign(claims{Audiences: q.Spec.Audiences, Expires: now.Unix() + life, Issued: now.Unix(), Issuer: issuer,
		ID: string(uuid.NewUUID()), Kubernetes: b, NotBefore: now.Unix(), Subject: accountName(of.Namespace, of.Name)})
	q.TypeMeta, q.CreationTimestamp, result.Object = tokenRequest, metav1.NewTime(now.Truncate(time.Second)), q
	return result, err
}

// completeRequest fills in what a TokenRequest left out, and checks the rest.
func completeRequest(q *authenticationv1.TokenRequest, of *corev1.ServiceAccount) (warnings []string, err error) {
	var faults field.ErrorList
	at := field.NewPath("metadata")
	if q.Name != "" && q.Name != of.Name {
		faults = append(faults, field.Invalid(at.Child("name"), q.Name, "must match the service account name if specified"))
	}
	if q.Namespace != "" && q.Namespace != of.Namespace {
		faults = append(faults, field.Invalid(at.Child("namespace"), q.Namespace, "must match the service account namespace if specified"))
	}
	life := int64(defaultLife)
	if q.Spec.ExpirationSeconds != nil {
		life = *q.Spec.ExpirationSeconds
	}
	switch at := field.NewPath("spec", "expirationSeconds"); {
	case life < minLife:
		faults = append(faults, field.Invalid(at, life, "may not specify a duration less than 10 minutes"))
	case life > 1<<32:
		faults = append(faults, field.Invalid(at, life, "may not specify a duration larger than 2^32 seconds"))
	case life > maxLife:
		warnings = append(warnings, fmt.Sprintf("requested expiration of %d seconds shortened to %d seconds", life, maxLife))
		life = maxLife
	}
	if len(q.Spec.Audiences) == 0 {
		q.Spec.Audiences = []string{issuer}
	}
	q.Name, q.Namespace, q.Spec.ExpirationSeconds = of.Name, of.Namespace, &life
	kind := schema.GroupKind{Group: authenticationv1.GroupName, Kind: "TokenRequest"}
	if len(faults) > 0 {
		return nil, apierrors.NewInvalid(kind, of.Name, faults)
	}
	if q.UID != "" && q.UID != of.UID {
		return nil, apierrors.NewConflict(schema.GroupResource{Group: kind.Group, Resource: kind.Kind}, of.Name,
			fmt.Errorf("the UID in the token request (%s) does not match the UID of the service account (%s)", q.UID, of.UID))
	}
	q.UID = of.UID
	return warnings, nil
}

// bind binds a token to a pod, secret or node; a node may have only tokens for pods that are bound to it, names them by their uid, and gets them for nobody but
// whom the pod's volumes name.
func (g *Gate) bind(ctx context.Context, b *bound, to *authenticationv1.BoundObjectReference, audiences []string) error {
	account := api.Key{Namespace: b.Namespace, Name: b.Account.Name}
	u, _ := api.UserFrom(ctx)
	node, isNode := strings.CutPrefix(u.Name, api.NodePrefix)
	isNode = isNode && u.In(api.GroupNodes)
	refuse := func(why string) error {
		return apierrors.NewForbidden(api.ServiceAccountKind.Resource(), account.Name, errors.New(why))
	}
	switch {
	case isNode && (to == nil || to.Kind != api.PodKind.Name):
		return refuse("node requested token not bound to a pod")
	case isNode && to.UID == "":
		return refuse("node requested token with a pod binding without a uid")
	case to == nil:
		return nil
	}
	at := map[string]**reference{api.PodKind.Name: &b.Pod, api.SecretKind.Name: &b.Secret, api.NodeKind.Name: &b.Node}[to.Kind]
	if at == nil || to.APIVersion != "v1" {
		return apierrors.NewBadRequest(fmt.Sprintf("cannot bind token to object of type %s", schema.FromAPIVersionAndKind(to.APIVersion, to.Kind)))
	}
	t := api.Target{Kind: api.Builtin.Kind(schema.GroupKind{Kind: to.Kind}), Key: api.Key{Name: to.Name}}
	if t.Kind.Namespaced {
		t.Key.Namespace = b.Namespace
	}
	r, err := g.next.Get(ctx, t, api.GetOptions{})
	if err != nil {
		return err
	}
	*at = &reference{to.Name, r.Object.GetUID()}
	if uid := r.Object.GetUID(); to.UID != "" && to.UID != uid {
		return apierrors.NewConflict(t.Kind.Resource(), to.Name,
			fmt.Errorf("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", to.UID))
	}
	pod, isPod := r.Object.(*corev1.Pod)
	switch {
	case isPod && isNode && pod.Spec.NodeName != node:
		return refuse("node requested token bound to a pod scheduled on a different node")
	case isPod && isNode && (len(audiences) > 1 || !projects(pod, audiences[0])):
		return refuse(fmt.Sprintf("%s is not authorized to request tokens for audience %q", u.Name, strings.Join(audiences, ", ")))
	case isPod && pod.Spec.ServiceAccountName != account.Name:
		return apierrors.NewBadRequest(fmt.Sprintf("cannot bind token for serviceaccount %q to pod running with different serviceaccount name.", account.Name))
	case isPod && pod.Spec.NodeName != "":
		b.Node = &reference{pod.Spec.NodeName, g.uidOf(ctx, pod.Spec.NodeName)}
	}
	return nil
}

// projects reports whether a volume of a pod wants a token for an audience.
func projects(pod *corev1.Pod, audience string) bool {
	for _, v := range pod.Spec.Volumes {
		if v.Projected != nil && slices.ContainsFunc(v.Projected.Sources, func(s corev1.VolumeProjection) bool {
			return s.ServiceAccountToken != nil && cmp.Or(s.ServiceAccountToken.Audience, issuer) == audience
		}) {
			return true
		}
	}
	return false
}

// uidOf is that of a node, "" if it is not there.
func (g *Gate) uidOf(ctx context.Context, node string) types.UID {
	n, err := api.Nodes.Get(ctx, g.next, api.Key{Name: node})
	if err != nil {
		return ""
	}
	return n.UID
}
