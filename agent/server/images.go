package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/agent/runtime"
	"optimist/internal/api"
)

// images lists the node's images as JSON, or with import=1 takes in the archive on standard input.
func (s *Server) images(_ context.Context, t api.Target, params url.Values) (job, error) {
	store, ok := s.config.Runtime.(runtime.Images)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("node %s keeps no images: its containers are simulated, and every image exists there", t.Key.Name))
	}
	if flag(params, "import") {
		return func(ctx context.Context, stream api.Stream) error { return load(ctx, store, stream) }, nil
	}
	return func(ctx context.Context, stream api.Stream) error { return list(ctx, store, stream) }, nil
}

func load(ctx context.Context, store runtime.Images, stream api.Stream) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	images, err := store.Import(ctx, input(ctx, stream))
	if err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("the archive could not be loaded: %v", err))
	}
	for _, i := range images {
		if _, err := fmt.Fprintln(output{stream, api.ChannelStdout}, i.Ref); err != nil {
			return err
		}
	}
	return nil
}

func list(ctx context.Context, store runtime.Images, stream api.Stream) error {
	images, err := store.Images(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(output{stream, api.ChannelStdout}).Encode(images)
}
