package ctl

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"optimist/internal/api"
)

type setEnv struct {
	*modify
	which, prefix string
	params, keys  []string
	from          string
	list, over    bool
}

func setEnvCommand(s *session) *cobra.Command {
	e := &setEnv{modify: newModify(s)}
	c := e.command(&cobra.Command{Use: "env TYPE/NAME KEY=VALUE… KEY-… [--from=TYPE/NAME]", Short: "Change the variables of containers",
		Example: "  ctl set env deployment/web COLOR=blue SHAPE-\n  ctl set env deployment/web --from=configmap/web --prefix=WEB_\n  ctl set env deployment/web --list"})
	f := c.Flags()
	f.StringVarP(&e.which, "containers", "c", "*", "Names of the containers; * stands for any")
	f.StringArrayVarP(&e.params, "env", "e", nil, "KEY=VALUE")
	f.StringVar(&e.from, "from", "", "Take all keys of a ConfigMap or a Secret: configmap/NAME")
	f.StringSliceVar(&e.keys, "keys", nil, "Take only these keys")
	f.StringVar(&e.prefix, "prefix", "", "Put this before the names of the variables")
	f.BoolVar(&e.list, "list", false, "Print the variables that there are")
	f.BoolVar(&e.over, "overwrite", true, "Replace values that there are")
	c.RunE = e.run
	return c
}

func (e *setEnv) run(c *cobra.Command, args []string) error {
	args, set, gone := pairs(args, "=")
	for _, text := range e.params {
		key, value, _ := strings.Cut(text, "=")
		set = append(set, [2]string{key, value})
	}
	if i := slices.Index(gone, ""); i >= 0 { // a lone "-": what standard input says
		gone = slices.Delete(gone, i, i+1)
		for in := bufio.NewScanner(c.InOrStdin()); in.Scan(); {
			if key, value, ok := strings.Cut(in.Text(), "="); ok {
				set = append(set, [2]string{key, value})
			}
		}
	}
	var vars []corev1.EnvVar
	for _, p := range set {
		if wrong := validation.IsEnvVarName(p[0]); len(wrong) > 0 {
			return fmt.Errorf("%q is not a valid environment variable name: %s", p[0], strings.Join(wrong, ";"))
		}
		vars = append(vars, corev1.EnvVar{Name: p[0], Value: p[1]})
	}
	more, err := e.referred(c)
	switch vars = append(vars, more...); {
	case err != nil:
		return err
	case len(e.keys) > 0 && e.from == "":
		return errors.New("when specifying --keys, a configmap or secret must be provided with --from")
	case len(vars)+len(gone) == 0 && !e.list:
		return errors.New("at least one environment variable must be provided")
	}
	for i := range vars {
		vars[i].Name = e.prefix + vars[i].Name
	}
	e.change = func(o api.Object) (string, error) {
		var wrong error
		err := containers(o, e.which, func(in *corev1.Container) { wrong = cmp.Or(wrong, e.one(c, o, in, vars, gone)) })
		if did := "env updated"; !e.list || len(vars)+len(gone) > 0 {
			return did, cmp.Or(err, wrong)
		}
		return "", cmp.Or(err, wrong)
	}
	return e.modify.run(c, args)
}

// referred are variables for the keys of the object that --from names.
func (e *setEnv) referred(c *cobra.Command) (all []corev1.EnvVar, err error) {
	if e.from == "" {
		return nil, nil
	}
	targets, err := e.named(c, []string{e.from})
	if err != nil || len(targets) != 1 {
		return nil, cmp.Or(err, errors.New("--from must name one object: configmap/NAME or secret/NAME"))
	}
	r, err := e.Get(c.Context(), targets[0], api.GetOptions{})
	if err != nil {
		return nil, err
	}
	var keys []string
	var ref func(key string) *corev1.EnvVarSource
	name := corev1.LocalObjectReference{Name: targets[0].Key.Name}
	switch o := r.Object.(type) {
	case *corev1.ConfigMap:
		keys = slices.Sorted(maps.Keys(o.Data))
		ref = func(key string) *corev1.EnvVarSource {
			return &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: name, Key: key}}
		}
	case *corev1.Secret:
		keys = slices.Sorted(maps.Keys(o.Data))
		ref = func(key string) *corev1.EnvVarSource {
			return &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: name, Key: key}}
		}
	default:
		return nil, errors.New("unsupported resource specified in --from")
	}
	for _, key := range keys {
		if len(e.keys) == 0 || slices.Contains(e.keys, key) {
			all = append(all, corev1.EnvVar{Name: strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToUpper(key)), ValueFrom: ref(key)})
		}
	}
	return all, nil
}

func (e *setEnv) one(c *cobra.Command, o api.Object, in *corev1.Container, vars []corev1.EnvVar, gone []string) error {
	in.Env = slices.DeleteFunc(slices.Clone(in.Env), func(v corev1.EnvVar) bool { return slices.Contains(gone, v.Name) })
	for _, v := range vars {
		i := slices.IndexFunc(in.Env, func(old corev1.EnvVar) bool { return old.Name == v.Name })
		switch {
		case i < 0:
			in.Env = append(in.Env, v)
		case !e.over:
			return fmt.Errorf("'%s' already has a value (%s), and --overwrite is false", v.Name, in.Env[i].Value)
		default:
			in.Env[i] = v
		}
	}
	if e.list {
		fmt.Fprintf(c.OutOrStdout(), "# %s %s, container %s\n", api.Builtin.Of(o).Name, o.GetName(), in.Name)
		for _, v := range in.Env {
			fmt.Fprintln(c.OutOrStdout(), variable(v))
		}
	}
	return nil
}

// variable is a line of --list.
func variable(v corev1.EnvVar) string {
	from := v.ValueFrom
	switch {
	case from == nil:
		return v.Name + "=" + v.Value
	case from.ConfigMapKeyRef != nil:
		return fmt.Sprintf("# %s from configmap %s, key %s", v.Name, from.ConfigMapKeyRef.Name, from.ConfigMapKeyRef.Key)
	case from.SecretKeyRef != nil:
		return fmt.Sprintf("# %s from secret %s, key %s", v.Name, from.SecretKeyRef.Name, from.SecretKeyRef.Key)
	case from.FieldRef != nil:
		return fmt.Sprintf("# %s from field path %s", v.Name, from.FieldRef.FieldPath)
	case from.ResourceFieldRef != nil:
		return fmt.Sprintf("# %s from resource field %s", v.Name, from.ResourceFieldRef.Resource)
	}
	return fmt.Sprintf("# %s from elsewhere", v.Name)
}

func setSelectorCommand(s *session) *cobra.Command {
	m := newModify(s)
	c := m.command(&cobra.Command{Use: "selector service NAME KEY=VALUE,…", Short: "Change which pods a Service finds", Example: "  ctl set selector service web app=web,tier=front"})
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 || !strings.Contains(args[len(args)-1], "=") {
			return usage(c, "one selector is required")
		}
		selector, err := metav1.ParseToLabelSelector(args[len(args)-1])
		if err != nil {
			return err
		}
		m.change = func(o api.Object) (string, error) {
			service, ok := o.(*corev1.Service)
			switch {
			case !ok:
				return "", errors.New("setting a selector is only supported for Services")
			case len(selector.MatchExpressions) > 0:
				return "", fmt.Errorf("match expression %v not supported on this object", selector.MatchExpressions)
			}
			service.Spec.Selector = selector.MatchLabels
			return "selector updated", nil
		}
		return m.run(c, args[:len(args)-1])
	}
	return c
}

func setServiceAccountCommand(s *session) *cobra.Command {
	m := newModify(s)
	c := m.command(&cobra.Command{Use: "serviceaccount TYPE/NAME… SERVICE_ACCOUNT", Aliases: []string{"sa"}, Short: "Change in whose name pods run", Example: "  ctl set serviceaccount deployment/web web"})
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return errors.New("serviceaccount is required")
		}
		m.change = func(o api.Object) (string, error) {
			spec := podSpec(o)
			if spec == nil {
				return "", fmt.Errorf("a %s has no pods", api.Builtin.Of(o).Singular)
			}
			spec.ServiceAccountName, spec.DeprecatedServiceAccount = args[len(args)-1], args[len(args)-1]
			return "serviceaccount updated", nil
		}
		return m.run(c, args[:len(args)-1])
	}
	return c
}

func setSubjectCommand(s *session) *cobra.Command {
	m := newModify(s)
	c := m.command(&cobra.Command{Use: "subject TYPE/NAME… [--user=NAME] [--group=NAME] [--serviceaccount=NAMESPACE:NAME]", Short: "Give a role to more users, groups or service accounts",
		Example: "  ctl set subject rolebinding/readers --user=ann"})
	addFlags(c, subjectFlags)
	c.RunE = func(c *cobra.Command, args []string) error {
		var more []rbacv1.Subject
		if err := (&given{Command: c}).subjects(&more); err != nil {
			return err
		}
		if len(more) == 0 {
			return errors.New("you must specify at least one value of user, group or serviceaccount")
		}
		m.change = func(o api.Object) (string, error) {
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
		}
		return m.run(c, args)
	}
	return c
}
