package ctl

import (
	"fmt"
	"path"
	"strings"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"optimist/internal/api"
)

func setCommand(s *session) *cobra.Command {
	return parent("set", "Change a single thing about containers", setImageCommand(s), setResourcesCommand(s))
}

func setImageCommand(s *session) *cobra.Command {
	m := newModify(s)
	c := m.command(&cobra.Command{
		Use:     "image TYPE/NAME CONTAINER=IMAGE…",
		Short:   "Change the images of containers",
		Example: "  ctl set image deployment/web web=web:2\n  ctl set image pod/web-1 '*=web:2'",
	})
	c.RunE = func(c *cobra.Command, args []string) error {
		args, images, _ := pairs(args, "=")
		if len(images) == 0 {
			return usage(c, "at least one image update is required")
		}
		m.change = func(o api.Object) (string, error) {
			for _, image := range images {
				if err := containers(o, image[0], func(c *corev1.Container) { c.Image = image[1] }); err != nil {
					return "", err
				}
			}
			return "image updated", nil
		}
		return m.run(c, args)
	}
	return c
}

func setResourcesCommand(s *session) *cobra.Command {
	m := newModify(s)
	var limits, requests, which string
	c := m.command(&cobra.Command{
		Use:     "resources TYPE/NAME [--limits=cpu=1,memory=64Mi] [--requests=…]",
		Short:   "Change what containers request of cpu and memory, and their limits",
		Example: "  ctl set resources deployment/web -c web --limits=memory=128Mi",
	})
	f := c.Flags()
	f.StringVar(&limits, "limits", "", "Limits to set: cpu=200m,memory=64Mi")
	f.StringVar(&requests, "requests", "", "Requests to set")
	f.StringVarP(&which, "containers", "c", "*", "Names of the containers; * stands for any")
	c.RunE = func(c *cobra.Command, args []string) error {
		if limits+requests == "" {
			return usage(c, "you must specify an update to requests or limits (in the form of --requests/--limits)")
		}
		upper, err := amounts(limits)
		if err != nil {
			return err
		}
		lower, err := amounts(requests)
		if err != nil {
			return err
		}
		m.change = func(o api.Object) (string, error) {
			return "resource requirements updated", containers(o, which, func(c *corev1.Container) {
				for name, q := range upper {
					put(&c.Resources.Limits, name, q)
				}
				for name, q := range lower {
					put(&c.Resources.Requests, name, q)
				}
			})
		}
		return m.run(c, args)
	}
	return c
}

// amounts reads cpu=200m,memory=64Mi.
func amounts(text string) (corev1.ResourceList, error) {
	list := corev1.ResourceList{}
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		q, err := resource.ParseQuantity(value)
		if !ok || err != nil {
			return nil, fmt.Errorf("invalid argument syntax %v, expected <resource>=<value>", part)
		}
		list[corev1.ResourceName(name)] = q
	}
	return list, nil
}

func put(list *corev1.ResourceList, name corev1.ResourceName, q resource.Quantity) {
	if *list == nil {
		*list = corev1.ResourceList{}
	}
	(*list)[name] = q
}

// containers does something with each container of an object's pods that a name (with *) means.
func containers(o api.Object, name string, do func(*corev1.Container)) error {
	var spec *corev1.PodSpec
	switch o := o.(type) {
	case *corev1.Pod:
		spec = &o.Spec
	case *appsv1.Deployment:
		spec = &o.Spec.Template.Spec
	case *appsv1.ReplicaSet:
		spec = &o.Spec.Template.Spec
	default:
		return fmt.Errorf("a %s has no containers", api.Builtin.Of(o).Singular)
	}
	found := false
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			if ok, _ := path.Match(name, list[i].Name); ok {
				do(&list[i])
				found = true
			}
		}
	}
	if !found {
		return fmt.Errorf("unable to find container named %q", name)
	}
	return nil
}
