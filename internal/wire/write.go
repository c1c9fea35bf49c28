package wire

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/api"
	"optimist/proto"
)

// EncodeWrite translates a write with the causes that its context carries.
func EncodeWrite(r api.Request, c api.Causes) (*proto.WriteRequest, error) {
	p := &proto.WriteRequest{Target: EncodeTarget(r.Target), Verb: string(r.Verb), Options: encodeOptions(r.Options), Causes: encodeCauses(c)}
	switch {
	case r.Raw != nil:
		p.Body = &proto.Body{MediaType: r.Raw.MediaType, Data: r.Raw.Data}
	case r.Patch != nil:
		p.Patch = &proto.Patch{Type: string(r.Patch.Type), Data: r.Patch.Data}
	}
	if r.Body == nil {
		return p, nil
	}
	body, err := EncodeBody(r.Target, r.Body)
	p.Body = body
	return p, err
}

// DecodeWrite returns the request and the causes that its sender claims.
func DecodeWrite(c *api.Catalogue, p *proto.WriteRequest) (api.Request, api.Causes, error) {
	t, err := DecodeTarget(c, p.Target)
	if err != nil {
		return api.Request{}, api.Causes{}, err
	}
	r := api.Request{Target: t, Verb: api.Verb(p.Verb)}
	if p.Patch != nil {
		r.Patch = &api.Patch{Type: types.PatchType(p.Patch.Type), Data: p.Patch.Data}
	}
	if p.Body.GetMediaType() != "" {
		r.Raw = &api.Raw{MediaType: p.Body.MediaType, Data: p.Body.Data}
	} else if r.Body, err = DecodeBody(t, p.Body); err != nil {
		return r, api.Causes{}, err
	}
	r.Options, err = decodeOptions(p.Options)
	return r, decodeCauses(p.Causes), err
}

// encodeOptions leaves out what says nothing: most writes have no options at all.
func encodeOptions(o api.Options) *proto.Options {
	p := &proto.Options{Manager: o.Manager, Force: o.Force, DryRun: o.DryRun, Validation: string(o.Validation), PreUid: string(o.Pre.UID),
		PreRevision: int64(o.Pre.Revision), Propagation: string(o.Propagation), Grace: o.Grace}
	if o.Fence != nil {
		p.Fence = &proto.Fence{Namespace: o.Fence.Lease.Namespace, Name: o.Fence.Lease.Name, Holder: o.Fence.Holder, Epoch: o.Fence.Epoch}
	}
	if o.Match != (api.ListOptions{}) {
		p.Match = EncodeListOptions(o.Match)
	}
	return p
}

func decodeOptions(p *proto.Options) (api.Options, error) {
	if p == nil {
		return api.Options{}, nil
	}
	o := api.Options{Manager: p.Manager, Force: p.Force, DryRun: p.DryRun, Validation: api.FieldValidation(p.Validation),
		Pre:         api.Preconditions{UID: types.UID(p.PreUid), Revision: api.Revision(p.PreRevision)},
		Propagation: metav1.DeletionPropagation(p.Propagation), Grace: p.Grace}
	if f := p.Fence; f != nil {
		o.Fence = &api.Fence{Lease: api.Key{Namespace: f.Namespace, Name: f.Name}, Holder: f.Holder, Epoch: f.Epoch}
	}
	var err error
	if p.Match != nil {
		o.Match, err = DecodeListOptions(p.Match)
	}
	return o, err
}

func encodeCauses(c api.Causes) *proto.Causes {
	if len(c.Edges) == 0 && c.More == 0 {
		return nil
	}
	p := &proto.Causes{More: int32(c.More)}
	for _, e := range c.Edges {
		p.Edges = append(p.Edges, &proto.Cause{Type: string(e.Type), Revision: int64(e.Revision)})
	}
	return p
}

// decodeCauses sorts and bounds what it is told, as Causes.Add does.
func decodeCauses(p *proto.Causes) api.Causes {
	if p == nil {
		return api.Causes{}
	}
	edges := make([]api.Cause, len(p.Edges))
	for i, e := range p.Edges {
		edges[i] = api.Cause{Type: api.CauseType(e.Type), Revision: api.Revision(e.Revision)}
	}
	return api.Causes{More: int(p.More)}.Add(edges...)
}
