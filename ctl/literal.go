package ctl

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/ctl/printer"
	"optimist/internal/api"
)

// literalCommands make ConfigMaps and Secrets of values on the command line.
func literalCommands(s *session) []*cobra.Command {
	secret := parent("secret", "Create a Secret", literalCommand(s, "generic", func(name, namespace string, values map[string]string) api.Object {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, StringData: values}
	}))
	return []*cobra.Command{secret, literalCommand(s, "configmap", func(name, namespace string, values map[string]string) api.Object {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, Data: values}
	})}
}

func literalCommand(s *session, noun string, object func(name, namespace string, values map[string]string) api.Object) *cobra.Command {
	var literals []string
	c := &cobra.Command{
		Use:     noun + " NAME --from-literal=KEY=VALUE…",
		Short:   "Create one of values that are given here",
		Example: "  ctl create " + map[string]string{"generic": "secret generic", "configmap": "configmap"}[noun] + " web --from-literal=greeting=hello",
		Args:    exactly(1, "the name"),
	}
	c.Flags().StringArrayVar(&literals, "from-literal", nil, "A key and its value: greeting=hello")
	c.RunE = func(c *cobra.Command, args []string) error {
		values := map[string]string{}
		for _, l := range literals {
			key, value, ok := strings.Cut(l, "=")
			if !ok || key == "" {
				return fmt.Errorf("invalid literal source %v, expected key=value", l)
			}
			values[key] = value
		}
		o := object(args[0], s.ns(), values)
		k := api.Builtin.Of(o)
		_, err := s.Write(c.Context(), api.Request{Target: s.target(k, args[0]), Verb: api.VerbCreate, Body: o, Options: api.Options{Manager: manager}})
		if err == nil {
			fmt.Fprintln(c.OutOrStdout(), printer.Named(k, args[0]), "created")
		}
		return err
	}
	return c
}
