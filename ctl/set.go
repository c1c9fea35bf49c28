package ctl

import (
	"fmt"
	"maps"
	"path"
	"reflect"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"optimist/internal/api"
)

func setImageCommand(s *session) *cobra.Command {
	m := newModify(s)
	c := m.command(&cobra.Command{Use: "image TYPE/NAME CONTAINER=IMAGE…", Short: "Change the images of containers", Example: "  ctl set image deployment/web web=web:2"})
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
	c := m.command(&cobra.Command{Use: "resources TYPE/NAME [--limits=cpu=1,memory=64Mi] [--requests=…]", Short: "Change what containers request of cpu and memory, and their limits",
		Example: "  ctl set resources deployment/web -c web --limits=memory=128Mi"})
	c.Flags().StringVar(&limits, "limits", "", "Limits to set: cpu=200m,memory=64Mi")
	c.Flags().StringVar(&requests, "requests", "", "Requests to set")
	c.Flags().StringVarP(&which, "containers", "c", "*", "Names of the containers; * stands for any")
	c.RunE = func(c *cobra.Command, args []string) error {
		if limits+requests == "" {
			return usage(c, "you must specify an update to requests or limits (in the form of --requests/--limits)")
		}
		m.change = func(o api.Object) (did string, err error) {
			found := containers(o, which, func(c *corev1.Container) {
				if err = amounts(&c.Resources.Limits, limits); err == nil {
					err = amounts(&c.Resources.Requests, requests)
				}
			})
			if err == nil {
				err = found
			}
			return "resource requirements updated", err
		}
		return m.run(c, args)
	}
	return c
}

// amounts sets what cpu=200m,memory=64Mi says.
func amounts(list *corev1.ResourceList, text string) error {
	now := corev1.ResourceList{}
	maps.Copy(now, *list)
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		q, err := resource.ParseQuantity(value)
		if err != nil {
			return fmt.Errorf("invalid argument syntax %v, expected <resource>=<value>", part)
		}
		now[corev1.ResourceName(name)] = q
	}
	*list = now
	return nil
}

// containers does something with each container of an object's pods that a name (with *) means.
func containers(o api.Object, name string, do func(*corev1.Container)) error {
	spec := podSpec(o)
	if spec == nil {
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

// podSpec is what an object says about pods: its own, its template's or that of its jobs. Nil if it says nothing.
func podSpec(o api.Object) *corev1.PodSpec {
	v := reflect.ValueOf(o).Elem()
	for _, name := range []string{"Spec", "JobTemplate", "Spec", "Template", "Spec"} {
		if field := v.FieldByName(name); field.IsValid() {
			if v = field; v.Kind() == reflect.Pointer && v.IsNil() {
				return nil
			}
			v = reflect.Indirect(v)
		}
		if v.Kind() != reflect.Struct {
			return nil
		}
	}
	spec, _ := v.Addr().Interface().(*corev1.PodSpec)
	return spec
}
