package ctl

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

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

func setEnv(g *given, args []string) ([]string, func(api.Object) (string, error), error) {
	args, set, gone := pairs(args, "=")
	texts := g.list("env")
	if i := slices.Index(gone, ""); i >= 0 { // a lone "-": what standard input says
		gone = slices.Delete(gone, i, i+1)
		for in := bufio.NewScanner(g.InOrStdin()); in.Scan(); {
			texts = append(texts, in.Text())
		}
	}
	for _, text := range texts {
		if key, value, ok := strings.Cut(text, "="); ok {
			set = append(set, [2]string{key, value})
		}
	}
	vars, err := g.referred()
	for _, p := range set {
		if wrong := validation.IsEnvVarName(p[0]); len(wrong) > 0 {
			return nil, nil, fmt.Errorf("%q is not a valid environment variable name: %s", p[0], strings.Join(wrong, ";"))
		}
		vars = append(vars, corev1.EnvVar{Name: p[0], Value: p[1]})
	}
	switch {
	case err != nil:
		return nil, nil, err
	case len(g.list("keys")) > 0 && g.text("from") == "":
		return nil, nil, errors.New("when specifying --keys, a configmap or secret must be provided with --from")
	case len(vars)+len(gone) == 0 && !g.is("list"):
		return nil, nil, errors.New("at least one environment variable must be provided")
	}
	for i := range vars {
		vars[i].Name = g.text("prefix") + vars[i].Name
	}
	return args, func(o api.Object) (did string, wrong error) {
		err := containers(o, g.text("containers"), func(in *corev1.Container) { wrong = cmp.Or(wrong, g.setVars(o, in, vars, gone)) })
		if len(vars)+len(gone) > 0 {
			did = "env updated"
		}
		return did, cmp.Or(err, wrong)
	}, nil
}

// referred are variables for the keys of the object that --from names.
func (g *given) referred() (all []corev1.EnvVar, err error) {
	if g.text("from") == "" {
		return nil, nil
	}
	targets, err := g.named(g.Command, []string{g.text("from")})
	if err != nil || len(targets) != 1 {
		return nil, cmp.Or(err, errors.New("--from must name one object: configmap/NAME or secret/NAME"))
	}
	r, err := g.Get(g.Context(), targets[0], api.GetOptions{})
	if err != nil {
		return nil, err
	}
	of, refs := corev1.LocalObjectReference{Name: targets[0].Key.Name}, map[string]*corev1.EnvVarSource{}
	switch o := r.Object.(type) {
	case *corev1.ConfigMap:
		for key := range o.Data {
			refs[key] = &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: of, Key: key}}
		}
	case *corev1.Secret:
		for key := range o.Data {
			refs[key] = &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: of, Key: key}}
		}
	default:
		return nil, errors.New("unsupported resource specified in --from")
	}
	for _, key := range slices.Sorted(maps.Keys(refs)) {
		if only := g.list("keys"); len(only) == 0 || slices.Contains(only, key) {
			name := strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToUpper(key))
			if all = append(all, corev1.EnvVar{Name: name, ValueFrom: refs[key]}); name != key {
				g.tell(g.Command, fmt.Sprintf("key %s transferred to %s", key, name))
			}
		}
	}
	return all, nil
}

// setVars changes one container, and prints what it then has if that was asked for.
func (g *given) setVars(o api.Object, in *corev1.Container, vars []corev1.EnvVar, gone []string) error {
	in.Env = slices.DeleteFunc(slices.Clone(in.Env), func(v corev1.EnvVar) bool { return slices.Contains(gone, v.Name) })
	for _, v := range vars {
		i := slices.IndexFunc(in.Env, func(old corev1.EnvVar) bool { return old.Name == v.Name })
		switch {
		case i < 0:
			in.Env = append(in.Env, v)
		case !g.is("overwrite"):
			return fmt.Errorf("'%s' already has a value (%s), and --overwrite is false", v.Name, in.Env[i].Value)
		default:
			in.Env[i] = v
		}
	}
	if !g.is("list") {
		return nil
	}
	fmt.Fprintf(g.OutOrStdout(), "# %s %s, container %s\n", api.Builtin.Of(o).Name, o.GetName(), in.Name)
	for _, v := range in.Env {
		line := v.Name + "=" + v.Value
		if from := v.ValueFrom; from != nil {
			line = "# " + v.Name + " from "
			switch {
			case from.ConfigMapKeyRef != nil:
				line += fmt.Sprintf("configmap %s, key %s", from.ConfigMapKeyRef.Name, from.ConfigMapKeyRef.Key)
			case from.SecretKeyRef != nil:
				line += fmt.Sprintf("secret %s, key %s", from.SecretKeyRef.Name, from.SecretKeyRef.Key)
			case from.FieldRef != nil:
				line += "field path " + from.FieldRef.FieldPath
			case from.ResourceFieldRef != nil:
				line += "resource field " + from.ResourceFieldRef.Resource
			}
		}
		fmt.Fprintln(g.OutOrStdout(), line)
	}
	return nil
}
