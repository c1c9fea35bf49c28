package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/agent/network"
	"optimist/agent/runtime"
	"optimist/internal/api"
	"optimist/internal/wire"
)

// port connects to a port: for portforward as the pod itself sees it, for proxy as the node sees its pod, or itself. Without a number portforward has
// nothing to do, but a pod that does not run is refused.
func (s *Server) port(ctx context.Context, t api.Target, params url.Values) (job, error) {
	forward, text := t.Sub == "portforward", params.Get("port")
	netns, hosts, failed := "", []string{s.config.Address()}, "error trying to reach service"
	var pod *corev1.Pod
	if t.Kind.Is(api.PodKind) {
		found := false
		if pod, found = s.config.Pods.Get(t.Key); !found {
			return nil, t.Kind.NotFound(t.Key.Name)
		}
		box, err := s.config.Runtime.Sandbox(ctx, pod.UID)
		if err == nil && box == nil {
			err = apierrors.NewBadRequest(fmt.Sprintf("unable to forward port because pod is not running. Current status=%s", pod.Status.Phase))
		}
		if err != nil {
			return nil, err
		}
		if hosts[0] = pod.Status.PodIP; box.Address.IsValid() {
			hosts[0] = box.Address.String()
		}
		if forward {
			netns, hosts, failed = box.NetNS, []string{"127.0.0.1", "::1"}, fmt.Sprintf("failed to connect to localhost:%s inside the network of pod %s", text, pod.Name)
		}
	}
	number, err := strconv.ParseUint(text, 10, 16)
	switch {
	case text == "" && forward:
		return func(context.Context, api.Stream) error { return nil }, nil
	case text == "":
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the agent of node %s serves no HTTP; name the port of a program on the node, as in nodes/%s:9100/proxy", t.Key.Name, t.Key.Name))
	case err != nil || number == 0:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("port=%q: must be a number from 1 to 65535", text))
	}
	conn, err := s.dial(ctx, pod, int(number), netns, hosts)
	if err != nil {
		return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("%s: %v", failed, err))
	}
	return relay(conn), nil
}

// dial tries hosts in turn, from a network namespace; the first failure counts.
func (s *Server) dial(ctx context.Context, pod *corev1.Pod, port int, netns string, hosts []string) (_ io.ReadWriteCloser, first error) {
	if d, simulated := s.config.Runtime.(runtime.Dialer); simulated && pod != nil {
		return d.Dial(ctx, pod.UID, port)
	} else if simulated {
		return nil, errors.New("the node is simulated: nothing listens on it")
	}
	for _, host := range hosts {
		conn, err := network.Dial(ctx, netns, net.JoinHostPort(host, strconv.Itoa(port)))
		if err == nil {
			return conn, nil
		}
		first = cmp.Or(first, err)
	}
	return nil, first
}

// relay passes bytes both ways until both have ended: the caller's by CloseSend, the pod's by an empty frame.
func relay(conn io.ReadWriteCloser) job {
	return func(ctx context.Context, stream api.Stream) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		context.AfterFunc(ctx, func() { conn.Close() })
		sent := make(chan error, 1)
		go func() {
			_, err := io.Copy(conn, input(ctx, stream))
			if half, ok := conn.(interface{ CloseWrite() error }); ok && err == nil {
				err = half.CloseWrite()
			}
			if err != nil {
				conn.Close()
			}
			sent <- err
		}()
		if _, err := io.Copy(wire.Writer{Stream: stream, Channel: api.ChannelStdout}, conn); err != nil {
			return err
		}
		if err := stream.Send(api.Frame{Channel: api.ChannelStdout}); err != nil {
			return err
		}
		return <-sent
	}
}
