package ctl

import (
	"fmt"

	"github.com/spf13/cobra"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// kustomized builds what a folder's kustomization says, in the order in which objects need one another. What it refers to elsewhere is fetched by git.
func kustomized(folder string) ([]byte, error) {
	o := krusty.MakeDefaultOptions()
	o.Reorder = krusty.ReorderOptionLegacy
	built, err := krusty.MakeKustomizer(o).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, err
	}
	return built.AsYaml()
}

func kustomizeCommand() *cobra.Command {
	return &cobra.Command{Use: "kustomize [DIR]", Short: "Print the objects that a folder's kustomization makes",
		Example: "  ctl kustomize overlays/production\n  ctl apply -k overlays/production", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			text, err := kustomized(append(args, ".")[0])
			if err == nil {
				_, err = fmt.Fprint(c.OutOrStdout(), string(text))
			}
			return err
		}}
}
