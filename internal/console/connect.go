package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
	"optimist/internal/wire"
)

// Connect serves the ring as a log: tailLines (default all) and follow, as for a container's.
func (r *Ring) Connect(ctx context.Context, params url.Values) (api.Stream, error) {
	tail, err := tailLines(params)
	if err != nil {
		return nil, err
	}
	follow, _ := strconv.ParseBool(params.Get("follow"))
	near, far := Pipe(ctx)
	go func() {
		if r.copyTo(ctx, far, r.tail(tail), follow) == nil {
			_ = Finish(far, nil) // fails only when nobody listens any more
		}
	}()
	return near, nil
}

func tailLines(params url.Values) (int, error) {
	text := params.Get("tailLines")
	if text == "" {
		return -1, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, apierrors.NewBadRequest(fmt.Sprintf("tailLines=%q: must be a number of lines", text))
	}
	return n, nil
}

func (r *Ring) copyTo(ctx context.Context, s api.Stream, from int, follow bool) error {
	for {
		text, next, missed, more := r.since(from)
		if missed > 0 {
			text = append(fmt.Appendf(nil, "[%d lines were lost]\n", missed), text...)
		}
		if _, err := (wire.Writer{Stream: s, Channel: api.ChannelStdout}).Write(text); err != nil {
			return err
		}
		if !follow {
			return nil
		}
		from = next
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Text is a stream that says one thing and ends well.
func Text(ctx context.Context, text []byte) api.Stream {
	near, far := Pipe(ctx)
	go func() {
		if _, err := (wire.Writer{Stream: far, Channel: api.ChannelStdout}).Write(text); err == nil {
			_ = Finish(far, nil) // fails only when nobody listens any more
		}
	}()
	return near
}

// Finish sends a stream's outcome as the last frame and ends it: Success for nil, else the error's Status.
func Finish(s api.Stream, err error) error {
	status := metav1.Status{Status: metav1.StatusSuccess}
	if err != nil {
		status = wire.Status(err)
	}
	data, jerr := json.Marshal(status)
	if jerr != nil {
		return jerr
	}
	if serr := s.Send(api.Frame{Channel: api.ChannelError, Data: data}); serr != nil {
		return serr
	}
	return s.CloseSend()
}
