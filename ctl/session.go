package ctl

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/fields"

	"optimist/internal/api"
	"optimist/internal/client"
)

// session is how commands reach a cluster: the root's flags, and the Service itself once the command is connected.
type session struct {
	api.Service
	kubeconfig, context, namespace string
	token                          string
	as                             api.User // whose place to take
}

func (s *session) flags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&s.kubeconfig, "kubeconfig", "", "Path to the kubeconfig file (default: $KUBECONFIG, then ~/.kube/config)")
	f.StringVar(&s.context, "context", "", "The name of the kubeconfig context to use")
	f.StringVarP(&s.namespace, "namespace", "n", "", "The namespace to work in (default: that of the context)")
	f.StringVar(&s.token, "token", "", "Bearer token for authentication to the API server")
	f.StringVar(&s.as.Name, "as", "", "Username to impersonate for the operation; a ServiceAccount is system:serviceaccount:NAMESPACE:NAME")
	f.StringArrayVar(&s.as.Groups, "as-group", nil, "Group to impersonate for the operation; may be repeated")
	f.StringVar(&s.as.UID, "as-uid", "", "UID to impersonate for the operation")
	complete(root, "namespace", s.completeNames(api.NamespaceKind))
	complete(root, "context", s.completeContexts)
}

// connected lets commands (or all their children) run only with a Service.
func (s *session) connected(commands ...*cobra.Command) []*cobra.Command {
	for _, c := range commands {
		if s.connected(c.Commands()...); c.PreRunE == nil && (!c.HasSubCommands() || c.Flags().Lookup("filename") != nil) {
			c.PreRunE = func(*cobra.Command, []string) error { return s.connect() }
		}
	}
	return commands
}

// connect does no I/O yet but reading the kubeconfig: the connection is made by the first call.
func (s *session) connect() error {
	if s.Service != nil {
		return nil
	}
	config, err := client.Load(s.file(), s.context)
	if err != nil {
		return err
	}
	if config.As = s.as; s.token != "" {
		config.Token, config.Cert, config.Key = s.token, nil, nil
	}
	c, err := client.New(config)
	if err == nil {
		s.Service = c
	}
	return err
}

// ns is the namespace to work in: the flag's, else the context's, else default.
func (s *session) ns() string {
	x, _ := s.contextNamed(s.context) // without a kubeconfig there is still a namespace
	return cmp.Or(s.namespace, x.Namespace, "default")
}

// target names an object of a kind in the session's namespace; without a name, all of them.
func (s *session) target(k *api.Kind, name string) api.Target {
	t := api.Target{Kind: k, Key: api.Key{Name: name}}
	if k.Namespaced {
		t.Key.Namespace = s.ns()
	}
	return t
}

var errTimeout = errors.New("timed out waiting for the condition")

// watch shows every event that is no bookmark, of one object or (without a name) of all, until the function is satisfied. A timeout of 0 waits as
// long as it takes.
func (s *session) watch(ctx context.Context, timeout time.Duration, t api.Target, o api.WatchOptions, see func(api.Event) (done bool, err error)) error {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	err := s.events(ctx, t, o, see)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errTimeout
	}
	return err
}

func (s *session) events(ctx context.Context, t api.Target, o api.WatchOptions, see func(api.Event) (bool, error)) error {
	if t.Key.Name != "" {
		o.Fields, t.Key.Name = byName(t.Key.Name), ""
	}
	events, err := s.Watch(ctx, t, o)
	if err != nil {
		return err
	}
	for batch, err := range events {
		if err != nil {
			return err
		}
		for _, e := range batch {
			if done, err := see(e); done || err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// byName selects the one object of a name in lists and watches.
func byName(name string) fields.Selector { return fields.OneTermEqualSelector("metadata.name", name) }
