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
	selection
	documents
	replicas, current int32
}

func scaleCommand(s *session) *cobra.Command {
	sc := &scale{selection: selection{session: s}}
	c := &cobra.Command{Use: "scale TYPE/NAME… --replicas=N", Short: "Set the number of replicas",
		Example:           "  ctl scale deployment/web --replicas=3\n  ctl scale deploy web --current-replicas=2 --replicas=3",
		ValidArgsFunction: s.completeObjects, RunE: sc.run}
	sc.selection.flags(c)
	sc.documents.flags(c)
	c.Flags().BoolVar(&sc.every, "all", false, "Scale all objects of the kind")
	c.Flags().Int32Var(&sc.replicas, "replicas", -1, "How many replicas there shall be")
	_ = c.MarkFlagRequired("replicas") // it is there
	c.Flags().Int32Var(&sc.current, "current-replicas", -1, "Only if there shall be this many now")
	return c
}

func (sc *scale) run(c *cobra.Command, args []string) error {
	if sc.replicas < 0 {
		return usage(c, "the --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0")
	}
	if err := checkDry(sc.dry); err != nil {
		return err
	}
	targets, wrong := sc.choose(c, args, &sc.documents)
	return each(targets, wrong, func(t api.Target) error {
		err := sc.one(c.Context(), t)
		if err == nil {
			fmt.Fprintln(c.OutOrStdout(), printer.Named(t.Kind, t.Key.Name), "scaled"+dryRuns[sc.dry])
		}
		return err
	})
}

func (sc *scale) one(ctx context.Context, t api.Target) error {
	if !t.Kind.HasSub("scale") {
		return fmt.Errorf("%s cannot be scaled", t.Kind)
	}
	t.Sub = "scale"
	var only api.Preconditions
	if sc.current >= 0 {
		now, err := sc.Get(ctx, t, api.GetOptions{})
		if err != nil {
			return err
		}
		if was := now.Object.(*autoscalingv1.Scale).Spec.Replicas; was != sc.current {
			return fmt.Errorf("Expected replicas to be %d, was %d", sc.current, was)
		}
		only.Revision = api.RevisionOf(now.Object) // nobody changes it in between
	}
	return sc.patch(ctx, t, types.MergePatchType, fmt.Sprintf(`{"spec":{"replicas":%d}}`, sc.replicas), api.Options{Manager: manager + "-scale", Pre: only, DryRun: sc.dry != "none"})
}

func (s *session) patch(ctx context.Context, t api.Target, how types.PatchType, patch string, o api.Options) error {
	_, err := s.Write(ctx, api.Request{Target: t, Verb: api.VerbPatch, Patch: &api.Patch{Type: how, Data: []byte(patch)}, Options: o})
	return err
}
