package ctl

import (
	"github.com/spf13/cobra"

	"optimist/ctl/kubeconfig"
	"optimist/internal/api"
	"optimist/internal/client"
)

// session is how commands reach a cluster: the root's flags, and the connection once it is needed.
type session struct {
	kubeconfig, context, namespace string
	service                        api.Service
}

func (s *session) flags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&s.kubeconfig, "kubeconfig", "", "Path to the kubeconfig file (default: $KUBECONFIG, then ~/.kube/config)")
	f.StringVar(&s.context, "context", "", "The name of the kubeconfig context to use")
	f.StringVarP(&s.namespace, "namespace", "n", "", "The namespace to work in (default: that of the context)")
	complete(root, "namespace", s.completeNames(api.NamespaceKind))
	complete(root, "context", s.completeContexts)
}

// connect returns the Service to talk to. It does no I/O yet but reading the kubeconfig: the connection is made by the first call.
func (s *session) connect() (api.Service, error) {
	if s.service != nil {
		return s.service, nil
	}
	config, err := client.Load(s.file(), s.context)
	if err != nil {
		return nil, err
	}
	c, err := client.New(config)
	if err != nil {
		return nil, err
	}
	s.service = c
	return c, nil
}

func (s *session) file() string { return kubeconfig.Path(s.kubeconfig, s.context) }

// ns is the namespace to work in: the flag's, else the context's, else default.
func (s *session) ns() string {
	if s.namespace != "" {
		return s.namespace
	}
	if c, err := kubeconfig.Read(s.file()); err == nil {
		if x, ok := c.Context(s.context); ok && x.Context.Namespace != "" {
			return x.Context.Namespace
		}
	}
	return "default"
}

// target names an object of a kind in the session's namespace.
func (s *session) target(k *api.Kind, name string) api.Target {
	return api.Target{Kind: k, Key: s.key(k, name)}
}

func (s *session) key(k *api.Kind, name string) api.Key {
	if !k.Namespaced {
		return api.Key{Name: name}
	}
	return api.Key{Namespace: s.ns(), Name: name}
}
