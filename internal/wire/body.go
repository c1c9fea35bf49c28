package wire

import (
	"reflect"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"optimist/internal/api"
	"optimist/proto"
)

// guests are bodies that are not kinds of their own: subresources are written and read through them.
var guests = []struct {
	gvk schema.GroupVersionKind
	new func() api.Object
}{
	{autoscalingv1.SchemeGroupVersion.WithKind("Scale"), func() api.Object { return new(autoscalingv1.Scale) }},
	{corev1.SchemeGroupVersion.WithKind("Binding"), func() api.Object { return new(corev1.Binding) }},
	{authenticationv1.SchemeGroupVersion.WithKind("TokenRequest"), func() api.Object { return new(authenticationv1.TokenRequest) }},
	{policyv1.SchemeGroupVersion.WithKind("Eviction"), func() api.Object { return new(policyv1.Eviction) }},
}

// guestNames say *Scale → "autoscaling/v1/Scale", guestKinds the way back: each as a kind that can decode itself.
var guestNames, guestKinds = indexGuests()

func indexGuests() (map[reflect.Type]string, map[string]*api.Kind) {
	names, kinds := map[reflect.Type]string{}, map[string]*api.Kind{}
	for _, g := range guests {
		names[reflect.TypeOf(g.new())] = name(g.gvk)
		kinds[name(g.gvk)] = &api.Kind{Group: g.gvk.Group, Name: g.gvk.Kind, Versions: []api.Version{{Name: g.gvk.Version, New: g.new}}}
	}
	return names, kinds
}

// EncodeBody turns a typed object into bytes, and names its kind when it says, or is, another one than the target's. nil stays nil.
func EncodeBody(t api.Target, o api.Object) (*proto.Body, error) {
	if o == nil {
		return nil, nil
	}
	data, err := api.Marshal(o)
	if err != nil {
		return nil, err
	}
	return &proto.Body{Kind: kindName(t, o), Data: data}, nil
}

func kindName(t api.Target, o api.Object) string {
	if guest := guestNames[reflect.TypeOf(o)]; guest != "" {
		return guest
	}
	if says := o.GetObjectKind().GroupVersionKind(); !says.Empty() && says != t.Kind.GVK(t.Version) {
		return name(says)
	}
	return ""
}

func name(gvk schema.GroupVersionKind) string { return gvk.Group + "/" + gvk.Version + "/" + gvk.Kind }

// DecodeBody turns bytes into a guest, or into an object of the target's kind and version. A kind that its author claimed by mistake is set,
// so that the registry refuses it in the same words as without a network in between.
func DecodeBody(t api.Target, b *proto.Body) (api.Object, error) {
	if b == nil {
		return nil, nil
	}
	if k := guestKinds[b.Kind]; k != nil {
		return decode(k, "", b.Data)
	}
	o, err := decode(t.Kind, t.Version, b.Data)
	if claimed := strings.Split(b.Kind, "/"); err == nil && len(claimed) == 3 {
		o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{Group: claimed[0], Version: claimed[1], Kind: claimed[2]})
	}
	return o, err
}

// decode makes what cannot be read the sender's fault.
func decode(k *api.Kind, version string, data []byte) (api.Object, error) {
	o, err := api.Unmarshal(k, version, data)
	if err != nil && apierrors.ReasonForError(err) == "" {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return o, err
}

// EncodeResult and DecodeResult translate what a read or write of one object returns.
func EncodeResult(t api.Target, r api.Result) (*proto.ObjectReply, error) {
	body, err := EncodeBody(t, r.Object)
	return &proto.ObjectReply{Object: body, Revision: int64(r.Revision), Warnings: r.Warnings, Created: r.Created}, err
}

// DecodeResult needs the target of the request: the reply does not repeat it.
func DecodeResult(t api.Target, p *proto.ObjectReply) (api.Result, error) {
	o, err := DecodeBody(t, p.Object)
	return api.Result{Object: o, Revision: api.Revision(p.Revision), Warnings: p.Warnings, Created: p.Created}, err
}
