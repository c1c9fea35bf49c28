package ctl

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
)

// setter is one thing that set changes: a row of a table. prepare reads the arguments: what is left of them names objects, to which change is done.
type setter struct {
	use, short, example string
	flags               []flag
	prepare             func(g *given, args []string) (objects []string, change func(api.Object) (did string, err error), err error)
}

var which = flag{"containers c", "*", "Names of the containers; * stands for any"}

var setters = []setter{
	{"image TYPE/NAME CONTAINER=IMAGE…", "Change the images of containers", "  ctl set image deployment/web web=web:2", nil, setImage},
	{"resources TYPE/NAME [--limits=cpu=1,memory=64Mi] [--requests=…]", "Change what containers request of cpu and memory, and their limits", "  ctl set resources deployment/web -c web --limits=memory=128Mi",
		[]flag{which, {"limits", "", "Limits to set: cpu=200m,memory=64Mi"}, {"requests", "", "Requests to set"}}, setResources},
	{"env TYPE/NAME KEY=VALUE… KEY-… [--from=TYPE/NAME]", "Change the variables of containers",
		"  ctl set env deployment/web COLOR=blue SHAPE-\n  ctl set env deployment/web --from=configmap/web --prefix=WEB_\n  ctl set env deployment/web --list", []flag{which, {"env e", repeated(nil), "KEY=VALUE"},
			{"from", "", "Take all keys of a ConfigMap or a Secret: configmap/NAME"}, {"keys", []string(nil), "Take only these keys"}, {"prefix", "", "Put this before the names of the variables"},
			{"list", false, "Print the variables that there are"}, {"overwrite", true, "Replace values that there are"}}, setEnv},
	{"selector service NAME KEY=VALUE,…", "Change which pods a Service finds", "  ctl set selector service web app=web,tier=front", nil, setSelector},
	{"serviceaccount|sa TYPE/NAME… SERVICE_ACCOUNT", "Change in whose name pods run", "  ctl set serviceaccount deployment/web web", nil, setServiceAccount},
	{"subject TYPE/NAME… [--user=NAME] [--group=NAME] [--serviceaccount=NAMESPACE:NAME]", "Give a role to more users, groups or service accounts", "  ctl set subject rolebinding/readers --user=ann",
		subjectFlags, setSubject},
}

func setCommand(s *session) *cobra.Command {
	all := parent("set", "Change a single thing about objects")
	for _, row := range setters {
		m := newModify(s)
		c := called(row.use, row.short)
		c.Example = row.example
		m.command(c)
		s.addFlags(c, row.flags)
		c.RunE = func(c *cobra.Command, args []string) (err error) {
			if args, m.change, err = row.prepare(&given{writing: &m.writing, Command: c}, args); err != nil {
				return err
			}
			return m.run(c, args)
		}
		all.AddCommand(c)
	}
	return all
}

func setImage(_ *given, args []string) ([]string, func(api.Object) (string, error), error) {
	args, images, _ := pairs(args, "=")
	if len(images) == 0 {
		return nil, nil, errors.New("at least one image update is required")
	}
	return args, func(o api.Object) (string, error) {
		for _, image := range images {
			if err := containers(o, image[0], func(c *corev1.Container) { c.Image = image[1] }); err != nil {
				return "", err
			}
		}
		return "image updated", nil
	}, nil
}

func setResources(g *given, args []string) ([]string, func(api.Object) (string, error), error) {
	limits, requests := g.text("limits"), g.text("requests")
	if limits+requests == "" {
		return nil, nil, usage(g.Command, "you must specify an update to requests or limits (in the form of --requests/--limits)")
	}
	return args, func(o api.Object) (did string, wrong error) {
		err := containers(o, g.text("containers"), func(c *corev1.Container) {
			wrong = cmp.Or(wrong, amounts(&c.Resources.Limits, limits), amounts(&c.Resources.Requests, requests))
		})
		return "resource requirements updated", cmp.Or(wrong, err)
	}, nil
}

// amounts sets what cpu=200m,memory=64Mi says.
func amounts(list *corev1.ResourceList, text string) error {
	now := list.DeepCopy()
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		q, err := resource.ParseQuantity(value)
		if err != nil {
			return fmt.Errorf("invalid argument syntax %v, expected <resource>=<value>", part)
		}
		put((*map[corev1.ResourceName]resource.Quantity)(&now), corev1.ResourceName(name), q)
	}
	*list = now
	return nil
}

func setSelector(g *given, args []string) ([]string, func(api.Object) (string, error), error) {
	n := len(args) - 1
	if n < 0 || !strings.Contains(args[n], "=") {
		return nil, nil, usage(g.Command, "one selector is required")
	}
	selector, err := metav1.ParseToLabelSelector(args[n])
	return args[:n], func(o api.Object) (string, error) {
		service, ok := o.(*corev1.Service)
		switch {
		case !ok:
			return "", errors.New("setting a selector is only supported for Services")
		case len(selector.MatchExpressions) > 0:
			return "", fmt.Errorf("match expression %v not supported on this object", selector.MatchExpressions)
		}
		service.Spec.Selector = selector.MatchLabels
		return "selector updated", nil
	}, err
}

func setServiceAccount(_ *given, args []string) ([]string, func(api.Object) (string, error), error) {
	n := len(args) - 1
	if n < 0 {
		return nil, nil, errors.New("serviceaccount is required")
	}
	return args[:n], func(o api.Object) (string, error) {
		spec := podSpec(o)
		if spec == nil {
			return "", fmt.Errorf("a %s has no pods", api.Builtin.Of(o).Singular)
		}
		spec.ServiceAccountName, spec.DeprecatedServiceAccount = args[n], args[n]
		return "serviceaccount updated", nil
	}, nil
}

func setSubject(g *given, args []string) ([]string, func(api.Object) (string, error), error) {
	var more []rbacv1.Subject
	if err := g.subjects(&more); err != nil {
		return nil, nil, err
	}
	if len(more) == 0 {
		return nil, nil, errors.New("you must specify at least one value of user, group or serviceaccount")
	}
	return args, func(o api.Object) (string, error) {
		var all *[]rbacv1.Subject
		switch o := o.(type) {
		case *rbacv1.RoleBinding:
			all = &o.Subjects
		case *rbacv1.ClusterRoleBinding:
			all = &o.Subjects
		default:
			return "", errors.New("setting subjects is only supported for RoleBinding/ClusterRoleBinding")
		}
		for _, s := range more {
			if !slices.Contains(*all, s) {
				*all = append(*all, s)
			}
		}
		return "subjects updated", nil
	}, nil
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
			v = reflect.Indirect(field)
		}
		if v.Kind() != reflect.Struct { // also what a nil pointer leads to
			return nil
		}
	}
	spec, _ := v.Addr().Interface().(*corev1.PodSpec)
	return spec
}
