package ctl

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
	"optimist/internal/wire"
)

type portForward struct {
	*session
	addresses []string
	out       *serial
}

func portForwardCommand(s *session) *cobra.Command {
	p := &portForward{session: s}
	c := &cobra.Command{Use: "port-forward (POD | TYPE/NAME) [LOCAL_PORT:]REMOTE_PORT…", Short: "Forward local ports to a pod",
		Example: "  ctl port-forward web-1 8080:80\n  ctl port-forward service/web :http", ValidArgsFunction: s.completeNames(api.PodKind),
		RunE: p.run, Args: func(c *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usage(c, "TYPE/NAME and list of ports are required for port-forward")
			}
			return nil
		}}
	c.Flags().StringSliceVar(&p.addresses, "address", []string{"localhost"}, "Where to listen: IP addresses or localhost")
	return c
}

// run forwards until ctl is told to stop.
func (p *portForward) run(c *cobra.Command, args []string) error {
	pod, err := p.onePod(c, args[:1])
	if err != nil {
		return err
	}
	var service *corev1.Service
	if strings.Contains(args[0], "/") {
		targets, err := p.named(c, args[:1])
		if err == nil && targets[0].Kind.Is(api.ServiceKind) {
			service, err = api.Services.Get(c.Context(), p, targets[0].Key)
		}
		if err != nil {
			return err
		}
	}
	var pairs [][2]uint16
	for _, arg := range args[1:] {
		pair, err := portPair(arg, pod, service)
		if err != nil {
			return err
		}
		pairs = append(pairs, pair)
	}
	t := api.Target{Kind: api.PodKind, Key: api.KeyOf(pod), Sub: "portforward"}
	if pod.Status.Phase != corev1.PodRunning {
		return fmt.Errorf("unable to forward port because pod is not running. Current status=%s", pod.Status.Phase)
	} else if err := wire.Forward(c.Context(), p, t, nil, nil); err != nil { // could it be done?
		return err
	}
	return p.serve(c, t, pairs)
}

// serve listens on every address for every pair, until ctl is told to stop.
func (p *portForward) serve(c *cobra.Command, t api.Target, pairs [][2]uint16) error {
	group, ctx := errgroup.WithContext(c.Context())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.out = &serial{w: c.OutOrStdout()}
	for _, pair := range pairs {
		for _, address := range p.addresses {
			hosts := []string{address}
			if address == "localhost" {
				hosts = []string{"127.0.0.1", "::1"}
			}
			var failed faults
			for _, host := range hosts {
				l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(pair[0]))))
				if err != nil {
					failed.add(fmt.Errorf("unable to listen on port %d: %w", pair[0], err))
					continue
				}
				pair[0] = uint16(l.Addr().(*net.TCPAddr).Port)
				fmt.Fprintf(p.out, "Forwarding from %s -> %d\n", l.Addr(), pair[1])
				context.AfterFunc(ctx, func() { l.Close() })
				group.Go(func() error { return p.accept(ctx, l, t, pair, c.ErrOrStderr()) })
			}
			if len(failed) == len(hosts) {
				return failed.err()
			}
		}
	}
	return group.Wait()
}

// accept forwards what comes to a listener. That a connection fails is told; the others go on, unless the pod has gone.
func (p *portForward) accept(ctx context.Context, l net.Listener, t api.Target, pair [2]uint16, errOut io.Writer) error {
	group, ctx := errgroup.WithContext(ctx)
	context.AfterFunc(ctx, func() { l.Close() })
	for {
		conn, err := l.Accept()
		if err != nil {
			return group.Wait()
		}
		fmt.Fprintf(p.out, "Handling connection for %d\n", pair[0])
		group.Go(func() error {
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			err := wire.Forward(ctx, p, t, url.Values{"port": {strconv.Itoa(int(pair[1]))}}, conn.(*net.TCPConn))
			switch {
			case err == nil || ctx.Err() != nil:
			case apierrors.IsNotFound(err), apierrors.IsBadRequest(err):
				return fmt.Errorf("lost connection to pod: %w", err)
			default:
				fmt.Fprintf(errOut, "an error occurred forwarding %d -> %d: %v\n", pair[0], pair[1], err)
			}
			return nil
		})
	}
}

// portPair reads [LOCAL:]REMOTE; local is 0 if any will do. A Service's port is followed to the pod's.
func portPair(arg string, pod *corev1.Pod, service *corev1.Service) (pair [2]uint16, err error) {
	local, remote, two := strings.Cut(arg, ":")
	if !two {
		remote = local
	}
	if service != nil {
		i := slices.IndexFunc(service.Spec.Ports, func(sp corev1.ServicePort) bool {
			return remote != "" && (remote == strconv.Itoa(int(sp.Port)) || remote == sp.Name)
		})
		if i < 0 {
			return pair, fmt.Errorf("service %s does not have a service port %s", service.Name, remote)
		}
		sp := service.Spec.Ports[i]
		if remote = strconv.Itoa(int(sp.Port)); !two {
			local = remote
		}
		if to := sp.TargetPort.String(); service.Spec.ClusterIP != corev1.ClusterIPNone && to != "0" {
			remote = to
		}
	}
	for _, container := range pod.Spec.Containers {
		for _, cp := range container.Ports {
			if cp.Name == remote && cp.Name != "" {
				remote = strconv.Itoa(int(cp.ContainerPort))
			}
		}
	}
	if !two && service == nil {
		local = remote
	}
	for i, text := range []string{cmp.Or(local, "0"), remote} {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || i == 1 && n == 0 {
			return pair, fmt.Errorf("%q: %q is no port, from 1 to 65535 or the name of one of pod %s's; want [LOCAL_PORT:]REMOTE_PORT", arg, text, pod.Name)
		}
		pair[i] = uint16(n)
	}
	return pair, nil
}
