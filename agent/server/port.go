package server

import (
	"context"
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
)

// portforward connects to a port as the pod itself sees it. Without one there is nothing to do, but a pod that does not run is refused.
func (s *Server) portforward(ctx context.Context, t api.Target, params url.Values) (job, error) {
	p, box, err := s.sandbox(ctx, t)
	if err != nil || params.Get("port") == "" {
		return func(context.Context, api.Stream) error { return nil }, err
	}
	port, err := portOf(params)
	if err != nil {
		return nil, err
	}
	conn, err := s.dial(ctx, p, port, box.NetNS, "127.0.0.1", "::1")
	if err != nil {
		err = apierrors.NewServiceUnavailable(fmt.Sprintf("failed to connect to localhost:%d inside the network of pod %s: %v", port, p.Name, err))
	}
	return relay(conn), err
}

// proxy connects to a port of the pod from the node.
func (s *Server) proxy(ctx context.Context, t api.Target, params url.Values) (job, error) {
	p, box, err := s.sandbox(ctx, t)
	if err != nil {
		return nil, err
	}
	port, err := portOf(params)
	if err != nil {
		return nil, err
	}
	address := p.Status.PodIP
	if box.Address.IsValid() {
		address = box.Address.String()
	}
	conn, err := s.dial(ctx, p, port, "", address)
	return relay(conn), unreached(err)
}

// nodeProxy connects to a port of the node.
func (s *Server) nodeProxy(ctx context.Context, t api.Target, params url.Values) (job, error) {
	if params.Get("port") == "" {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the agent of node %s serves no HTTP; name the port of a program on the node, as in nodes/%s:9100/proxy", t.Key.Name, t.Key.Name))
	}
	port, err := portOf(params)
	if err != nil {
		return nil, err
	}
	if _, simulated := s.config.Runtime.(runtime.Dialer); simulated {
		return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("node %s is simulated: nothing listens on it", t.Key.Name))
	}
	conn, err := network.Dial(ctx, "", net.JoinHostPort(s.config.Address(), strconv.Itoa(port)))
	return relay(conn), unreached(err)
}

// unreached words a dial's failure as Kubernetes' proxy does.
func unreached(err error) error {
	if err == nil {
		return nil
	}
	return apierrors.NewServiceUnavailable(fmt.Sprintf("error trying to reach service: %v", err))
}

func portOf(params url.Values) (int, error) {
	port, err := strconv.ParseUint(params.Get("port"), 10, 16)
	if err != nil || port == 0 {
		return 0, apierrors.NewBadRequest(fmt.Sprintf("port=%q: must be a number from 1 to 65535", params.Get("port")))
	}
	return int(port), nil
}

// sandbox finds a pod that runs, and its namespaces.
func (s *Server) sandbox(ctx context.Context, t api.Target) (*corev1.Pod, *runtime.Sandbox, error) {
	p, ok := s.config.Pods.Get(t.Key)
	if !ok {
		return nil, nil, api.PodKind.NotFound(t.Key.Name)
	}
	box, err := s.config.Runtime.Sandbox(ctx, p.UID)
	if err == nil && box == nil {
		err = apierrors.NewBadRequest(fmt.Sprintf("unable to forward port because pod is not running. Current status=%s", p.Status.Phase))
	}
	return p, box, err
}

// dial tries hosts in turn, from a network namespace; the first failure counts.
func (s *Server) dial(ctx context.Context, p *corev1.Pod, port int, netns string, hosts ...string) (io.ReadWriteCloser, error) {
	if d, ok := s.config.Runtime.(runtime.Dialer); ok {
		return d.Dial(ctx, p.UID, port)
	}
	var first error
	for _, host := range hosts {
		conn, err := network.Dial(ctx, netns, net.JoinHostPort(host, strconv.Itoa(port)))
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
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
		if _, err := io.Copy(output{stream, api.ChannelStdout}, conn); err != nil {
			return err
		}
		if err := stream.Send(api.Frame{Channel: api.ChannelStdout}); err != nil {
			return err
		}
		return <-sent
	}
}
