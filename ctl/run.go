package ctl

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
)

func runCommand(s *session) *cobra.Command {
	w := &writing{session: s}
	c := &cobra.Command{Use: "run NAME --image=IMAGE [--env=KEY=VALUE] [--port=PORT] [--command] -- [COMMAND] [ARG…]", Short: "Run an image in a pod of its own",
		Example: "  ctl run web --image=web:1 --port=80\n  ctl run -it --rm shell --image=busybox:1 --restart=Never -- sh\n  ctl run web --image=web:1 --dry-run=client -o yaml"}
	w.makingFlags(c, manager+"-run")
	s.addFlags(c, []flag{{"image!", "", "The image to run"}, {"env", repeated(nil), "KEY=VALUE"}, {"port", "", "The port that the container listens at"}, {"labels l", "", "The pod's labels: app=web,tier=front"},
		{"annotations", repeated(nil), "KEY=VALUE"}, {"restart", "Always", "What to do when it ends: Always, OnFailure or Never"}, {"image-pull-policy", "", "Always, IfNotPresent or Never"},
		{"command", false, "What follows -- is the command, not its arguments"}, {"privileged", false, "Run the container privileged"}, {"expose", false, "Make a Service too (needs --port)"},
		{"overrides", "", "A patch of the object, as JSON"}, {"override-type", "merge", "What kind of patch that is: json, merge or strategic"}, {"attach", false, "Join the process once it runs"},
		{"stdin i", false, "Pass standard input on"}, {"tty t", false, "Standard input is a terminal"}, {"rm", false, "Delete the pod when the session has ended"}, {"quiet q", false, "Print only what the process prints"}})
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 || c.ArgsLenAtDash() == 0 {
			return usage(c, "NAME is required for run")
		}
		if err := errors.Join(checkDry(w.dry), w.output.Parse(false)); err != nil {
			return err
		}
		return w.runPod(&given{w, c, args[0], args[1:]})
	}
	return c
}

func (w *writing) runPod(g *given) error {
	attach := g.is("attach") || g.is("stdin") && !g.Flags().Changed("attach")
	switch {
	case g.is("tty") && !g.is("stdin"):
		return errors.New("-i/--stdin is required for containers with -t/--tty=true")
	case g.is("expose") && g.text("port") == "":
		return errors.New("--port must be set when exposing a service")
	case g.is("rm") && !attach:
		return errors.New("--rm should only be used for attached containers")
	case !slices.Contains([]string{"Always", "OnFailure", "Never"}, g.text("restart")):
		return fmt.Errorf("invalid restart policy: %s, valid values are: Always, OnFailure, Never", g.text("restart"))
	case !slices.Contains([]string{"", "Always", "IfNotPresent", "Never"}, g.text("image-pull-policy")):
		return fmt.Errorf("invalid image pull policy: %s, valid values are: Always, IfNotPresent, Never", g.text("image-pull-policy"))
	case attach && w.dry != "none":
		return errors.New("--dry-run=[server|client] can't be used with attached containers options (--attach, --stdin, or --tty)")
	}
	pod, err := buildPod(g)
	if err != nil {
		return err
	}
	w.mute = attach
	o, err := w.make(g.Command, pod, "created")
	if err == nil && g.is("expose") {
		port := pod.Spec.Containers[0].Ports[0].ContainerPort
		_, err = w.make(g.Command, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: g.name}, Spec: corev1.ServiceSpec{Selector: pod.Labels,
			Ports: []corev1.ServicePort{{Port: port, Protocol: corev1.ProtocolTCP, TargetPort: portOf(strconv.Itoa(int(port)))}}}}, "created")
	}
	if err != nil || !attach {
		return err
	}
	err = w.attend(g, api.Target{Kind: api.PodKind, Key: api.KeyOf(o)}, pod)
	if g.is("rm") {
		err = errors.Join(err, w.dismiss(g, o))
	}
	return err
}

func buildPod(g *given) (*corev1.Pod, error) {
	labels := map[string]string{"run": g.name}
	var err error
	if text := g.text("labels"); text != "" {
		if labels, err = assignments("label", strings.Split(text, ",")...); err != nil {
			return nil, err
		}
	}
	annotations, err := assignments("annotation", g.list("annotations")...)
	if err != nil {
		return nil, err
	}
	c := corev1.Container{Name: g.name, Image: g.text("image"), ImagePullPolicy: corev1.PullPolicy(g.text("image-pull-policy")), Stdin: g.is("stdin"), StdinOnce: g.is("stdin"), TTY: g.is("tty")}
	if c.Args = g.args; g.is("command") {
		c.Command, c.Args = g.args, nil
	}
	for _, text := range g.list("env") {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("invalid env: %v", text)
		}
		c.Env = append(c.Env, corev1.EnvVar{Name: key, Value: value})
	}
	if text := g.text("port"); text != "" {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return nil, errors.New("--port must be a number")
		}
		c.Ports = []corev1.ContainerPort{{ContainerPort: int32(n)}}
	}
	if yes := g.is("privileged"); yes {
		c.SecurityContext = &corev1.SecurityContext{Privileged: &yes}
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: g.name, Labels: labels, Annotations: annotations},
		Spec: corev1.PodSpec{Containers: []corev1.Container{c}, RestartPolicy: corev1.RestartPolicy(g.text("restart")), DNSPolicy: corev1.DNSClusterFirst}}
	how, text := patches[g.text("override-type")], g.text("overrides")
	switch {
	case text == "":
		return pod, nil
	case how.apply == nil:
		return nil, fmt.Errorf("invalid override type: %s", g.text("override-type"))
	}
	err = patched(pod, func(before []byte) ([]byte, error) { return how.apply(before, []byte(text), pod) })
	return pod, err
}

// attend waits for the pod to run, joins its process, and ends as that did.
func (w *writing) attend(g *given, t api.Target, pod *corev1.Pod) error {
	ended := func(p *corev1.Pod) bool {
		return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
	}
	now, err := w.podUntil(g.Context(), t, func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodRunning || ended(p) })
	if err != nil {
		return err
	}
	err = apierrors.NewBadRequest("it has ended already")
	if !ended(now) {
		err = w.join(g, t)
	}
	if _, refused := err.(apierrors.APIStatus); refused { //nolint:errorlint // nobody has wrapped it
		if !ended(now) {
			fmt.Fprintf(g.ErrOrStderr(), "warning: couldn't attach to pod/%s, falling back to streaming logs: %v\n", t.Key.Name, err)
		}
		log := t
		log.Sub = "log"
		err = w.listen(g.Context(), log, url.Values{"container": {g.name}, "follow": {"true"}}, g.OutOrStdout())
	}
	if err != nil || pod.Spec.RestartPolicy == corev1.RestartPolicyAlways {
		return err
	}
	if now, err = w.podUntil(g.Context(), t, ended); err != nil || now.Status.Phase == corev1.PodSucceeded {
		return err
	}
	for _, c := range now.Status.ContainerStatuses {
		if end := c.State.Terminated; end != nil && end.ExitCode != 0 {
			return &exitError{code: int(end.ExitCode), text: fmt.Sprintf("pod %s/%s terminated (%s)", t.Key.Namespace, t.Key.Name, end.Reason)}
		}
	}
	return fmt.Errorf("pod %s/%s failed with unknown exit code", t.Key.Namespace, t.Key.Name)
}

// join attaches to the process.
func (w *writing) join(g *given, t api.Target) error {
	if g.is("tty") && !g.is("quiet") {
		fmt.Fprintln(g.ErrOrStderr(), "If you don't see a command prompt, try pressing enter.")
	}
	terminal := terminalOf(g.InOrStdin())
	e := &exec{session: w.session, stdin: g.is("stdin"), tty: g.is("tty") && terminal != nil, quiet: g.is("quiet")}
	t.Sub = "attach"
	stream, err := w.Connect(g.Context(), t, e.params(g.name, nil))
	if err != nil {
		return err
	}
	return e.converse(g.Command, &sender{Stream: stream}, terminal)
}

func (w *writing) podUntil(ctx context.Context, t api.Target, good func(*corev1.Pod) bool) (now *corev1.Pod, err error) {
	name := t.Key.Name
	t.Key.Name = ""
	err = w.watch(ctx, 0, t, api.WatchOptions{Initial: true, Fields: byName(name)}, func(e api.Event) (bool, error) {
		p, ok := e.Object.(*corev1.Pod)
		if ok && e.Type == api.Deleted || e.InitialEnd && now == nil {
			return false, api.PodKind.NotFound(name)
		}
		if ok {
			now = p
		}
		return ok && good(p), nil
	})
	return now, err
}

// dismiss deletes what a session leaves, also when it was broken off.
func (w *writing) dismiss(g *given, o api.Object) error {
	ctx := context.WithoutCancel(g.Context())
	_, err := w.Write(ctx, api.Request{Target: api.Target{Kind: api.PodKind, Key: api.KeyOf(o)}, Verb: api.VerbDelete, Options: api.Options{Manager: manager, Pre: api.Preconditions{UID: o.GetUID()}}})
	if err == nil && !g.is("quiet") {
		fmt.Fprintf(g.OutOrStdout(), "pod %q deleted from %s namespace\n", o.GetName(), o.GetNamespace())
	}
	return err
}
