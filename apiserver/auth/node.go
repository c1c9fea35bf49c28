package auth

import (
	"cmp"
	"context"
	"reflect"
	"slices"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"

	"optimist/internal/api"
)

// The scopes of the rules of nodes and of machines that join; none = every object.
const (
	itself = "itself" // the object that bears the node's name
	mine   = "mine"   // pods bound to it
	needed = "needed" // what pods bound to it name
	asked  = "asked"  // what it asked for itself
)

// node decides for one node, or for a machine that is to become one (name ""). It reads pods from the registry itself, as they are now: a pod that the
// node has heard of is there.
type node struct {
	*Gate
	user  api.User
	name  string
	rules []Rule
}

// scope finds the first rule for a verb on a target.
func (n node) scope(v api.Verb, t api.Target) (string, error) {
	for _, r := range n.rules {
		if r.allows(v, t) {
			return r.Scope, nil
		}
	}
	return "", forbidden(n.user, v, t, "")
}

func (n node) refuse(v api.Verb, t api.Target) error {
	if n.name == "" {
		return forbidden(n.user, v, t, "")
	}
	return forbidden(n.user, v, t, "no relationship found between node '"+n.name+"' and this object")
}

// get decides on reading one object; a pod and a request have to be looked at first, and are the result then.
func (n node) get(ctx context.Context, t api.Target, o api.GetOptions) (api.Result, error) {
	s, err := n.scope(api.VerbGet, t)
	if err != nil || s != mine && s != asked {
		return api.Result{}, cmp.Or(err, n.within(ctx, s, api.VerbGet, t))
	}
	r, err := n.next.Get(ctx, t, o)
	pod, isPod := r.Object.(*corev1.Pod)
	csr, isCSR := r.Object.(*certificatesv1.CertificateSigningRequest)
	if isPod && pod.Spec.NodeName != n.name || isCSR && csr.Spec.Username != n.user.Name {
		return api.Result{}, n.refuse(api.VerbGet, t)
	}
	return r, err
}

// look decides on lists and watches: of pods only by spec.nodeName, of secrets and config maps only one at a time, by metadata.name.
func (n node) look(ctx context.Context, v api.Verb, t api.Target, f fields.Selector) error {
	s, err := n.scope(v, t)
	if err != nil {
		return err
	}
	switch s {
	case mine:
		if exactly(f, "spec.nodeName") != n.name {
			return forbidden(n.user, v, t, "a node can only "+string(v)+" pods with field selector spec.nodeName="+n.name)
		}
		return nil
	case needed:
		if t.Key.Name = exactly(f, "metadata.name"); t.Key.Name == "" || t.Key.Namespace == "" {
			return forbidden(n.user, v, t, "a node can only "+string(v)+" one object, with field selector metadata.name=…")
		}
	}
	return n.within(ctx, s, v, t)
}

// exactly returns the value that a selector demands of a field, or "".
func exactly(f fields.Selector, field string) string {
	if f == nil {
		return ""
	}
	value, _ := f.RequiresExactMatch(field)
	return value
}

// write decides, and pins a write on a pod to the very pod that was looked at.
func (n node) write(ctx context.Context, r *api.Request) error {
	s, err := n.scope(r.Verb, r.Target)
	if err != nil {
		return err
	}
	if s != mine {
		return n.within(ctx, s, r.Verb, r.Target)
	}
	pod, err := api.Pods.Get(ctx, n.next, r.Key)
	if apierrors.IsNotFound(err) || err == nil && pod.Spec.NodeName == n.name {
		if pod != nil && r.Pre.UID == "" {
			r.Pre.UID = pod.UID
		}
		return err
	}
	if err != nil {
		return err
	}
	return n.refuse(r.Verb, r.Target)
}

// within decides on what needs no look at the object itself: on every scope but mine and, once there is a request, asked.
func (n node) within(ctx context.Context, s string, v api.Verb, t api.Target) error {
	ok, err := true, error(nil)
	switch s {
	case itself:
		ok = t.Key.Name == n.name
	case needed:
		ok, err = n.needs(ctx, t)
	}
	if err != nil || ok {
		return err
	}
	return n.refuse(v, t)
}

// needs reports whether a pod bound to the node names the object; for a PersistentVolume, the claim that has it.
func (n node) needs(ctx context.Context, t api.Target) (bool, error) {
	if t.Kind.Is(api.PersistentVolumeKind) {
		r, err := n.next.Get(ctx, t, api.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		pv, _ := r.Object.(*corev1.PersistentVolume)
		if err != nil || pv.Spec.ClaimRef == nil {
			return false, err
		}
		t = api.Target{Kind: api.PersistentVolumeClaimKind, Key: api.Key{Namespace: pv.Spec.ClaimRef.Namespace, Name: pv.Spec.ClaimRef.Name}}
	}
	pods, err := api.Pods.List(ctx, n.next, t.Key.Namespace, api.ListOptions{Fields: fields.OneTermEqualSelector("spec.nodeName", n.name)})
	return slices.ContainsFunc(pods, func(pod *corev1.Pod) bool { return names(reflect.ValueOf(pod.Spec), t) }), err
}

// references are the parts of a pod that name other objects: for pulls, in volumes, in the environments of its containers.
var references = map[reflect.Type]struct {
	kind  *api.Kind
	field string
}{
	reflect.TypeFor[corev1.PodSpec]():                           {api.ServiceAccountKind, "ServiceAccountName"},
	reflect.TypeFor[corev1.PersistentVolumeClaimVolumeSource](): {api.PersistentVolumeClaimKind, "ClaimName"},
	reflect.TypeFor[corev1.SecretVolumeSource]():                {api.SecretKind, "SecretName"},
	reflect.TypeFor[corev1.SecretProjection]():                  {api.SecretKind, "Name"},
	reflect.TypeFor[corev1.SecretEnvSource]():                   {api.SecretKind, "Name"},
	reflect.TypeFor[corev1.SecretKeySelector]():                 {api.SecretKind, "Name"},
	reflect.TypeFor[[]corev1.LocalObjectReference]():            {api.SecretKind, "Name"},
	reflect.TypeFor[corev1.ConfigMapVolumeSource]():             {api.ConfigMapKind, "Name"},
	reflect.TypeFor[corev1.ConfigMapProjection]():               {api.ConfigMapKind, "Name"},
	reflect.TypeFor[corev1.ConfigMapEnvSource]():                {api.ConfigMapKind, "Name"},
	reflect.TypeFor[corev1.ConfigMapKeySelector]():              {api.ConfigMapKind, "Name"},
}

// names reports whether there is a reference to an object anywhere in a part of a pod.
func names(part reflect.Value, t api.Target) bool {
	switch r, refers := references[part.Type()]; {
	case part.Kind() == reflect.Pointer:
		return !part.IsNil() && names(part.Elem(), t)
	case part.Kind() == reflect.Slice:
		for i := range part.Len() {
			if names(part.Index(i), t) || refers && part.Index(i).FieldByName(r.field).String() == t.Key.Name && r.kind.Is(t.Kind) {
				return true
			}
		}
	case part.Kind() == reflect.Struct:
		for i := range part.NumField() {
			if names(part.Field(i), t) {
				return true
			}
		}
		return refers && r.kind.Is(t.Kind) && part.FieldByName(r.field).String() == t.Key.Name
	}
	return false
}
