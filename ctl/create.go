package ctl

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"

	"optimist/internal/api"
)

func createCommand(s *session) *cobra.Command {
	w := &writing{session: s}
	c := w.command(w.create, &cobra.Command{Use: "create -f FILE | create KIND NAME …",
		Short:   "Create objects that must not exist yet, from a file or from arguments",
		Example: "  ctl create -f job.yaml\n  ctl create deployment web --image=web:1 --replicas=2\n  ctl create configmap web --from-literal=color=blue --dry-run=client -o yaml"})
	for _, row := range creatable {
		c.AddCommand(generate(s, manager+"-create", row))
	}
	for _, row := range []struct {
		use, short string
		rows       []generator
	}{{"secret", "Create a Secret", secretKinds}, {"service|svc", "Create a Service", serviceKinds}} {
		group := parent(row.use, row.short)
		group.Use, group.Aliases = called(row.use, "").Use, called(row.use, "").Aliases
		for _, r := range row.rows {
			group.AddCommand(generate(s, manager+"-create", r))
		}
		c.AddCommand(group)
	}
	c.AddCommand(createTokenCommand(s))
	return c
}

var (
	tcp          = flag{"tcp", []string(nil), "PORT or PORT:TARGET"}
	verbs        = flag{"verb", []string(nil), "What may be done: get, list, watch, create, …"}
	resourceFlag = flag{"resource", []string(nil), "With what: pods, deployments.apps, pods/log, …"}
	resourceName = flag{"resource-name", repeated(nil), "Only with objects of these names"}
	subjectFlags = []flag{{"user", repeated(nil), "Users"}, {"group", repeated(nil), "Groups"}, {"serviceaccount", repeated(nil), "Service accounts, as NAMESPACE:NAME"}}
)

var creatable = []generator{
	{"namespace|ns NAME", "Create a Namespace", nil, "", func(*given) (api.Object, error) { return &corev1.Namespace{}, nil }},
	{"serviceaccount|sa NAME", "Create a ServiceAccount", nil, "serviceaccount: ", func(*given) (api.Object, error) { return &corev1.ServiceAccount{}, nil }},
	{"configmap|cm NAME [--from-file=[KEY=]FILE] [--from-literal=KEY=VALUE]", "Create a ConfigMap", sourceFlags, "configmap: ", buildConfigMap},
	{"deployment|deploy NAME --image=IMAGE -- [COMMAND] [ARG…]", "Create a Deployment", []flag{{"image!", []string(nil), "Images to run"},
		{"port", int32(-1), "The port that the containers listen at"}, {"replicas r", int32(1), "How many pods"}}, "deployment: ", buildDeployment},
	{"job NAME --image=IMAGE | --from=cronjob/NAME -- [COMMAND] [ARG…]", "Create a Job", []flag{{"image", "", "The image to run"},
		{"from", "", "The CronJob to make it of: cronjob/NAME"}}, "job: ", buildJob},
	{"cronjob|cj NAME --image=IMAGE --schedule='0/5 * * * ?' -- [COMMAND] [ARG…]", "Create a CronJob", []flag{{"image!", "", "The image to run"}, {"schedule!", "", "When, as in a crontab"},
		{"restart", "", "What to do when it ends: OnFailure or Never"}}, "cronjob: ", buildCronJob},
	{"ingress|ing NAME --rule=HOST/PATH=SERVICE:PORT[,tls[=SECRET]]", "Create an Ingress", []flag{{"class", "", "The class of the Ingress"},
		{"rule", repeated(nil), "HOST/PATH=SERVICE:PORT[,tls[=SECRET]]; a path that ends in * means all below"}, {"default-backend", "", "SERVICE:PORT for all else"},
		{"annotation", repeated(nil), "KEY=VALUE"}}, "ingress: ", buildIngress},
	{"poddisruptionbudget|pdb NAME --selector=SELECTOR --min-available=N", "Create a PodDisruptionBudget", []flag{{"selector", "", "The pods: app=web"},
		{"min-available", "", "How many (or how many percent) must remain"}, {"max-unavailable", "", "How many (or how many percent) may be missing"}}, "poddisruptionbudgets: ", buildBudget},
	{"priorityclass|pc NAME --value=N", "Create a PriorityClass", []flag{{"value", int32(0), "The priority"}, {"global-default", false, "Whether pods without a class have it"},
		{"description", "", "What it is for"}, {"preemption-policy", "PreemptLowerPriority", "Whether others make room: PreemptLowerPriority or Never"}}, "priorityclass: ", buildPriority},
	{"quota|resourcequota NAME [--hard=KEY=QUANTITY,…] [--scopes=SCOPE,…]", "Create a ResourceQuota", []flag{{"hard", "", "The limits: cpu=4,pods=10"}, {"scopes", "", "Which pods count"}}, "quota: ", buildQuota},
	{"role NAME --verb=VERB --resource=KIND", "Create a Role", []flag{verbs, resourceFlag, resourceName}, "", buildRole},
	{"clusterrole NAME --verb=VERB --resource=KIND", "Create a ClusterRole", []flag{verbs, resourceFlag, resourceName, {"non-resource-url", []string(nil), "Paths: /healthz, /logs/*"},
		{"aggregation-rule", []string(nil), "Labels of the roles that it is the sum of"}}, "", buildClusterRole},
	{"rolebinding NAME --clusterrole=NAME|--role=NAME [--user=NAME]", "Create a RoleBinding", append([]flag{{"role", "", "The Role to give"}, {"clusterrole", "", "The ClusterRole to give"}}, subjectFlags...),
		"rolebinding: ", buildRoleBinding},
	{"clusterrolebinding NAME --clusterrole=NAME [--user=NAME]", "Create a ClusterRoleBinding", append([]flag{{"clusterrole!", "", "The ClusterRole to give"}}, subjectFlags...), "clusterrolebinding: ",
		func(g *given) (api.Object, error) {
			o := &rbacv1.ClusterRoleBinding{RoleRef: roleRef("ClusterRole", g.text("clusterrole"))}
			return o, g.subjects(&o.Subjects)
		}},
}

var secretKinds = []generator{
	{"generic NAME [--from-file=[KEY=]FILE] [--from-literal=KEY=VALUE]", "Create a Secret out of files or texts", append([]flag{{"type", "", "The type of the Secret"}}, sourceFlags...), "secret ", buildSecret},
	{"tls NAME --cert=FILE --key=FILE", "Create a Secret of a certificate and its key", []flag{{"cert", "", "The certificate's file (PEM)"}, {"key", "", "The key's file (PEM)"}}, "secret ", buildTLS},
}

var serviceKinds = []generator{
	{"clusterip NAME [--tcp=PORT:TARGET]", "Create a Service with an address in the cluster", []flag{tcp, {"clusterip", "", "The address; None for none"}}, "ClusterIP service: ", buildService(corev1.ServiceTypeClusterIP)},
	{"nodeport NAME [--tcp=PORT:TARGET]", "Create a Service with a port on every node", []flag{tcp, {"node-port", int32(0), "The port on the nodes"}}, "NodePort service: ", buildService(corev1.ServiceTypeNodePort)},
	{"loadbalancer NAME [--tcp=PORT:TARGET]", "Create a Service with a load balancer", []flag{tcp}, "LoadBalancer service: ", buildService(corev1.ServiceTypeLoadBalancer)},
	{"externalname NAME --external-name=NAME", "Create a Service that is another name", []flag{tcp, {"external-name!", "", "The other name"}}, "ExternalName service: ", buildService(corev1.ServiceTypeExternalName)},
}

func containerName(image string) string {
	name := image[strings.LastIndex(image, "/")+1:]
	name, _, _ = strings.Cut(name, "@")
	name, _, _ = strings.Cut(name, ":")
	return regexp.MustCompile(`[^a-z0-9-]`).ReplaceAllString(strings.ToLower(name), "-")
}

func buildDeployment(g *given) (api.Object, error) {
	images, labels, replicas := g.list("image"), map[string]string{"app": g.name}, g.number("replicas")
	if len(images) > 1 && len(g.args) > 0 {
		return nil, errors.New("cannot specify multiple --image options and command")
	}
	o := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels}}}
	o.Spec.Template.Labels = labels
	for i, image := range images {
		c := corev1.Container{Name: containerName(image), Image: image, Command: g.args}
		if port := g.number("port"); i == 0 && port >= 0 {
			c.Ports = []corev1.ContainerPort{{ContainerPort: port}}
		}
		o.Spec.Template.Spec.Containers = append(o.Spec.Template.Spec.Containers, c)
	}
	return o, nil
}

func (g *given) jobSpec(restart corev1.RestartPolicy) batchv1.JobSpec {
	spec := corev1.PodSpec{RestartPolicy: restart, Containers: []corev1.Container{{Name: g.name, Image: g.text("image"), Command: g.args}}}
	return batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: spec}}
}

func buildJob(g *given) (api.Object, error) {
	kind, name, _ := strings.Cut(g.text("from"), "/")
	switch from := g.text("from"); {
	case (g.text("image") == "") == (from == ""):
		return nil, errors.New("either --image or --from must be specified")
	case from == "":
		return &batchv1.Job{Spec: g.jobSpec(corev1.RestartPolicyNever)}, nil
	case len(g.args) > 0:
		return nil, errors.New("cannot specify --from and command")
	}
	k := api.Builtin.Of(&batchv1.CronJob{})
	if k == nil || !k.Is(api.Builtin.Find(kind)) {
		return nil, errors.New("from must be an existing cronjob")
	}
	if err := g.connect(); err != nil {
		return nil, err
	}
	r, err := g.Get(g.Context(), g.target(k, name), api.GetOptions{})
	if err != nil {
		return nil, err
	}
	from := r.Object.(*batchv1.CronJob)
	o := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Labels: from.Spec.JobTemplate.Labels, Annotations: map[string]string{"cronjob.kubernetes.io/instantiate": "manual"}}, Spec: from.Spec.JobTemplate.Spec}
	for key, value := range from.Spec.JobTemplate.Annotations {
		o.Annotations[key] = value
	}
	owner := metav1.NewControllerRef(from, batchv1.SchemeGroupVersion.WithKind("CronJob"))
	owner.BlockOwnerDeletion = nil
	o.OwnerReferences = []metav1.OwnerReference{*owner}
	return o, nil
}

func buildCronJob(g *given) (api.Object, error) {
	restart := corev1.RestartPolicyOnFailure
	if text := g.text("restart"); text != "" {
		restart = corev1.RestartPolicy(text)
	}
	return &batchv1.CronJob{Spec: batchv1.CronJobSpec{Schedule: g.text("schedule"),
		JobTemplate: batchv1.JobTemplateSpec{ObjectMeta: metav1.ObjectMeta{Name: g.name}, Spec: g.jobSpec(restart)}}}, nil
}

var ruleSyntax = regexp.MustCompile(`^([^/,=]*)/([^,=]*)=([^:,=]+:[^,=]+)(,tls(=([^,=]*))?)?$`)

func backend(text string) networkingv1.IngressBackend {
	name, port, _ := strings.Cut(text, ":")
	b := &networkingv1.IngressServiceBackend{Name: name, Port: networkingv1.ServiceBackendPort{Name: port}}
	if n, err := strconv.ParseInt(port, 10, 32); err == nil {
		b.Port = networkingv1.ServiceBackendPort{Number: int32(n)}
	}
	return networkingv1.IngressBackend{Service: b}
}

func buildIngress(g *given) (api.Object, error) {
	o := &networkingv1.Ingress{}
	var err error
	if o.Annotations, err = assignments("annotation", g.list("annotation")...); err != nil {
		return nil, err
	}
	if class := g.text("class"); class != "" {
		o.Spec.IngressClassName = &class
	}
	switch text := g.text("default-backend"); {
	case text == "" && len(g.list("rule")) == 0:
		return nil, errors.New("not enough information provided: every ingress has to either specify a default-backend (which catches all traffic) or a list of rules (which catch specific paths)")
	case text != "" && strings.Count(text, ":") != 1:
		return nil, errors.New("default-backend should be in format servicename:serviceport")
	case text != "":
		b := backend(text)
		o.Spec.DefaultBackend = &b
	}
	for _, text := range g.list("rule") {
		m := ruleSyntax.FindStringSubmatch(text)
		if m == nil {
			return nil, fmt.Errorf("rule %s is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]", text)
		}
		addRule(&o.Spec, m[1], "/"+m[2], backend(m[3]))
		if m[4] != "" {
			addTLS(&o.Spec, m[1], m[6])
		}
	}
	return o, nil
}

func addRule(spec *networkingv1.IngressSpec, host, path string, b networkingv1.IngressBackend) {
	how := networkingv1.PathTypeExact
	if p, all := strings.CutSuffix(path, "*"); all {
		path, how = p, networkingv1.PathTypePrefix
	}
	p := networkingv1.HTTPIngressPath{Path: path, PathType: &how, Backend: b}
	fresh := networkingv1.IngressRule{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{}}}
	r := one(&spec.Rules, fresh, func(r networkingv1.IngressRule) bool { return r.Host == host })
	r.HTTP.Paths = append(r.HTTP.Paths, p)
}

// addTLS names a host once, beside others of the same Secret.
func addTLS(spec *networkingv1.IngressSpec, host, secret string) {
	if host+secret == "" || slices.ContainsFunc(spec.TLS, func(t networkingv1.IngressTLS) bool { return slices.Contains(t.Hosts, host) }) {
		return
	}
	t := one(&spec.TLS, networkingv1.IngressTLS{SecretName: secret}, func(t networkingv1.IngressTLS) bool { return t.SecretName == secret })
	if host != "" {
		t.Hosts = append(t.Hosts, host)
	}
}

func buildBudget(g *given) (api.Object, error) {
	least, most := g.text("min-available"), g.text("max-unavailable")
	selector, err := metav1.ParseToLabelSelector(g.text("selector"))
	switch {
	case g.text("selector") == "":
		return nil, errors.New("a selector must be specified")
	case err != nil:
		return nil, err
	case least+most == "":
		return nil, errors.New("one of min-available or max-unavailable must be specified")
	case least != "" && most != "":
		return nil, errors.New("min-available and max-unavailable cannot be both specified")
	}
	o := &policyv1.PodDisruptionBudget{Spec: policyv1.PodDisruptionBudgetSpec{Selector: selector}}
	if value := intstr.Parse(least + most); least != "" {
		o.Spec.MinAvailable = &value
	} else {
		o.Spec.MaxUnavailable = &value
	}
	return o, nil
}

func buildPriority(g *given) (api.Object, error) {
	preempt := corev1.PreemptionPolicy(g.text("preemption-policy"))
	return &schedulingv1.PriorityClass{Value: g.number("value"), GlobalDefault: g.is("global-default"), Description: g.text("description"), PreemptionPolicy: &preempt}, nil
}

func buildQuota(g *given) (api.Object, error) {
	o := &corev1.ResourceQuota{}
	if err := amounts(&o.Spec.Hard, g.text("hard")); err != nil {
		return nil, err
	}
	for scope := range strings.SplitSeq(g.text("scopes"), ",") {
		if scope != "" {
			o.Spec.Scopes = append(o.Spec.Scopes, corev1.ResourceQuotaScope(scope))
		} else if g.text("scopes") != "" {
			return nil, errors.New(`invalid resource quota scope ""`)
		}
	}
	return o, nil
}

func (g *given) rules() (all []rbacv1.PolicyRule, err error) {
	if len(g.list("verb")) == 0 {
		return nil, errors.New("at least one verb must be specified")
	}
	for _, text := range g.list("resource") {
		name, sub, part := strings.Cut(text, "/")
		group := ""
		if name != "*" {
			k := api.Builtin.Find(name)
			if k == nil {
				return nil, fmt.Errorf("the server doesn't have a resource type %q", name)
			}
			name, group = k.Plural, k.Group
		}
		if part {
			name += "/" + sub
		}
		fresh := rbacv1.PolicyRule{Verbs: g.verbs(), APIGroups: []string{group}, ResourceNames: g.list("resource-name")}
		r := one(&all, fresh, func(r rbacv1.PolicyRule) bool { return r.APIGroups[0] == group })
		if !slices.Contains(r.Resources, name) {
			r.Resources = append(r.Resources, name)
		}
	}
	return all, nil
}

func (g *given) verbs() []string {
	if all := g.list("verb"); !slices.Contains(all, "*") {
		return all
	}
	return []string{"*"}
}

func buildRole(g *given) (api.Object, error) {
	if len(g.list("resource")) == 0 {
		return nil, errors.New("at least one resource must be specified")
	}
	rules, err := g.rules()
	return &rbacv1.Role{Rules: rules}, err
}

func buildClusterRole(g *given) (api.Object, error) {
	o, paths, labels := &rbacv1.ClusterRole{}, g.list("non-resource-url"), g.list("aggregation-rule")
	if len(labels) > 0 {
		if len(g.list("verb"))+len(g.list("resource"))+len(paths)+len(g.list("resource-name")) > 0 {
			return nil, errors.New("aggregation rule must be specified without nonResourceURLs, verbs, resources or resourceNames")
		}
		match, err := assignments("aggregation-rule", labels...)
		o.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: match}}}
		return o, err
	}
	if len(g.list("resource"))+len(paths) == 0 {
		return nil, errors.New("one of resource or nonResourceURL must be specified")
	}
	if slices.ContainsFunc(paths, func(path string) bool { return !strings.HasPrefix(path, "/") && path != "*" }) {
		return nil, errors.New("nonResourceURL should start with /")
	}
	var err error
	if o.Rules, err = g.rules(); len(paths) > 0 {
		o.Rules = append(o.Rules, rbacv1.PolicyRule{Verbs: g.verbs(), NonResourceURLs: paths})
	}
	return o, err
}

func roleRef(kind, name string) rbacv1.RoleRef {
	return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}
}

func buildRoleBinding(g *given) (api.Object, error) {
	role, cluster := g.text("role"), g.text("clusterrole")
	if (role == "") == (cluster == "") {
		return nil, errors.New("exactly one of clusterrole or role must be specified")
	}
	o := &rbacv1.RoleBinding{RoleRef: roleRef("Role", role)}
	if cluster != "" {
		o.RoleRef = roleRef("ClusterRole", cluster)
	}
	return o, g.subjects(&o.Subjects)
}

func (g *given) subjects(all *[]rbacv1.Subject) error {
	for _, kind := range []string{rbacv1.UserKind, rbacv1.GroupKind} {
		for _, name := range g.list(strings.ToLower(kind)) {
			*all = append(*all, rbacv1.Subject{Kind: kind, APIGroup: rbacv1.GroupName, Name: name})
		}
	}
	for _, text := range g.list("serviceaccount") {
		ns, name, ok := strings.Cut(text, ":")
		if !ok || ns == "" || name == "" {
			return errors.New("serviceaccount must be <namespace>:<name>")
		}
		*all = append(*all, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: name})
	}
	return nil
}

func buildService(kind corev1.ServiceType) func(g *given) (api.Object, error) {
	return func(g *given) (api.Object, error) {
		labels := map[string]string{"app": g.name}
		o := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.ServiceSpec{Type: kind, Selector: labels, ClusterIP: g.text("clusterip"), ExternalName: g.text("external-name")}}
		if len(g.list("tcp")) == 0 && o.Spec.ClusterIP != "None" && kind != corev1.ServiceTypeExternalName {
			return nil, errors.New("at least one tcp port specifier must be provided")
		}
		for _, text := range g.list("tcp") {
			port, target, named := strings.Cut(text, ":")
			n, err := strconv.ParseInt(port, 10, 32)
			if err != nil || len(validation.IsValidPortNum(int(n))) > 0 {
				return nil, fmt.Errorf("invalid port %q in --tcp=%s: must be a number from 1 to 65535", port, text)
			}
			p := corev1.ServicePort{Name: strings.ReplaceAll(text, ":", "-"), Port: int32(n), TargetPort: intstr.Parse(port), Protocol: corev1.ProtocolTCP, NodePort: g.number("node-port")}
			if named {
				p.TargetPort = intstr.Parse(target)
			}
			o.Spec.Ports = append(o.Spec.Ports, p)
		}
		return o, nil
	}
}
