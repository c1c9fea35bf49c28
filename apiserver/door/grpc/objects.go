package grpc

import (
	"context"
	"strings"

	rpc "google.golang.org/grpc"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
	"optimist/internal/wire"
	"optimist/proto"
)

// objects is api.Service behind the generated interface. Its errors are API errors; guard encodes them.
type objects struct {
	proto.UnimplementedObjectsServer
	svc       api.Service
	catalogue *api.Catalogue
}

func (o *objects) Get(ctx context.Context, p *proto.GetRequest) (*proto.ObjectReply, error) {
	t, err := wire.DecodeTarget(o.catalogue, p.Target)
	if err != nil {
		return nil, err
	}
	r, err := o.svc.Get(ctx, t, api.GetOptions{At: api.Revision(p.At)})
	if err != nil {
		return nil, err
	}
	return wire.EncodeResult(t, r)
}

func (o *objects) List(ctx context.Context, p *proto.ListRequest) (*proto.ListReply, error) {
	t, err := wire.DecodeTarget(o.catalogue, p.Target)
	if err != nil {
		return nil, err
	}
	lo, err := wire.DecodeListOptions(p.Options)
	if err != nil {
		return nil, err
	}
	if lo.View == api.Full {
		lo.View = api.Stored
	}
	l, err := o.svc.List(ctx, t, lo)
	if err != nil {
		return nil, err
	}
	return wire.EncodeList(l)
}

func (o *objects) Write(ctx context.Context, p *proto.WriteRequest) (*proto.ObjectReply, error) {
	r, causes, err := wire.DecodeWrite(o.catalogue, p)
	if err != nil {
		return nil, err
	}
	if u, _ := api.UserFrom(ctx); trusted(u) {
		ctx = api.WithCauses(ctx, causes)
	}
	result, err := o.svc.Write(ctx, r)
	if err != nil {
		return nil, err
	}
	return wire.EncodeResult(r.Target, result)
}

// trusted reports whether a caller is a part of the system, whose word on causes counts.
func trusted(u api.User) bool {
	switch u.Name {
	case api.UserScheduler, api.UserControllers, api.UserAPIServer:
		return true
	}
	return strings.HasPrefix(u.Name, api.NodePrefix) && u.In(api.GroupNodes) || strings.HasPrefix(u.Name, api.ControllerPrefix)
}

func (o *objects) Watch(p *proto.WatchRequest, s rpc.ServerStreamingServer[proto.WatchBatch]) error {
	t, wo, err := wire.DecodeWatch(o.catalogue, p)
	if err != nil {
		return err
	}
	batches, err := o.svc.Watch(s.Context(), t, wo)
	if err != nil {
		return err
	}
	if err := wire.Accept(s); err != nil {
		return err
	}
	for batch, err := range batches {
		if err != nil {
			return err
		}
		if err := send(s, batch); err != nil {
			return err
		}
	}
	return apierrors.NewServiceUnavailable("the watch has ended")
}

func send(s rpc.ServerStreamingServer[proto.WatchBatch], batch []api.Event) error {
	p, err := wire.EncodeEvents(batch)
	if err != nil {
		return err
	}
	return s.Send(p)
}

func (o *objects) Connect(s rpc.BidiStreamingServer[proto.Frame, proto.Frame]) error {
	return wire.Serve(s, o.catalogue, o.svc)
}

func (o *objects) Now(ctx context.Context, _ *proto.NowRequest) (*proto.NowReply, error) {
	r, err := o.svc.Now(ctx)
	return &proto.NowReply{Revision: int64(r)}, err
}
