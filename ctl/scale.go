package ctl

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/ctl/printer"
	"optimist/internal/api"
)

type scale struct {
	*session
	replicas, current int32
}

func scaleCommand(s *session) *cobra.Command {
	sc := &scale{session: s}
	c := &cobra.Command{
		Use:               "scale TYPE/NAME… --replicas=N",
		Short:             "Set the number of replicas",
		Example:           "  ctl scale deployment/web --replicas=3\n  ctl scale deploy web --current-replicas=2 --replicas=3",
		ValidArgsFunction: s.completeObjects,
		RunE:              sc.run,
	}
	c.Flags().Int32Var(&sc.replicas, "replicas", -1, "How many replicas there shall be")
	c.Flags().Int32Var(&sc.current, "current-replicas", -1, "Only if there shall be this many now")
	return c
}

func (sc *scale) run(c *cobra.Command, args []string) error {
	if sc.replicas < 0 {
		return usage(c, "the --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0")
	}
	wants, err := parseArgs(api.Builtin, args)
	if err != nil {
		return usageError(c, err)
	}
	service, err := sc.connect()
	if err != nil {
		return err
	}
	var faults []error
	for _, w := range wants {
		for _, name := range w.names {
			if err := sc.one(c.Context(), service, w.kind, name); err != nil {
				faults = append(faults, err)
				continue
			}
			fmt.Fprintln(c.OutOrStdout(), printer.Named(w.kind, name), "scaled")
		}
	}
	return joined(faults)
}

func (sc *scale) one(ctx context.Context, service api.Service, k *api.Kind, name string) error {
	if !k.HasSub("scale") {
		return fmt.Errorf("%s cannot be scaled", k)
	}
	target := sc.target(k, name)
	target.Sub = "scale"
	if sc.current >= 0 {
		return sc.onlyFrom(ctx, service, target)
	}
	_, err := service.Write(ctx, api.Request{Target: target, Verb: api.VerbPatch, Options: api.Options{Manager: manager},
		Patch: &api.Patch{Type: types.MergePatchType, Data: fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, sc.replicas)}})
	return err
}

// onlyFrom replaces the scale that it has looked at: its resourceVersion makes sure that nobody changes it in between.
func (sc *scale) onlyFrom(ctx context.Context, service api.Service, t api.Target) error {
	result, err := service.Get(ctx, t, api.GetOptions{})
	if err != nil {
		return err
	}
	now, ok := result.Object.DeepCopyObject().(*autoscalingv1.Scale)
	if !ok {
		return fmt.Errorf("the server answered with a %T instead of a Scale", result.Object)
	}
	if now.Spec.Replicas != sc.current {
		return fmt.Errorf("Expected replicas to be %d, was %d", sc.current, now.Spec.Replicas)
	}
	now.Spec.Replicas = sc.replicas
	_, err = service.Write(ctx, api.Request{Target: t, Verb: api.VerbUpdate, Body: now, Options: api.Options{Manager: manager}})
	return err
}
