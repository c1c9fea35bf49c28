package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"optimist/internal/api"
)

type logs struct {
	*session
	selection
	container       string
	follow          bool
	previous        bool
	every           bool
	prefix          bool
	timestamps      bool
	tail            int64
	since           time.Duration
	ignoreErrors    bool
	component, node string
	service         api.Service
}

// logSource is one log to print.
type logSource struct {
	target    api.Target
	container string
}

func logsCommand(s *session) *cobra.Command {
	l := &logs{session: s}
	c := &cobra.Command{
		Use:   "logs (POD | TYPE/NAME | -l SELECTOR | --component NAME)",
		Short: "Print what containers, or the cluster's own components, have written",
		Example: "  ctl logs web-1\n  ctl logs -f deploy/web --tail=20\n  ctl logs -l app=web --all-containers --prefix\n  ctl logs --component scheduler -f\n" +
			"  ctl logs --component agent --node n1",
		ValidArgsFunction: s.completeNames(api.PodKind),
		RunE:              l.run,
	}
	f := c.Flags()
	f.StringVarP(&l.label, "selector", "l", "", "All pods with these labels")
	f.StringVarP(&l.container, "container", "c", "", "The container; by default the pod's first")
	f.BoolVar(&l.every, "all-containers", false, "All containers of the pod")
	f.BoolVarP(&l.follow, "follow", "f", false, "Go on printing what comes")
	f.BoolVarP(&l.previous, "previous", "p", false, "The container's run before the last restart")
	f.BoolVar(&l.prefix, "prefix", false, "Begin each line with pod and container")
	f.BoolVar(&l.timestamps, "timestamps", false, "Begin each line with its time")
	f.Int64Var(&l.tail, "tail", -1, "How many of the last lines; -1 means all (10 with a selector)")
	f.DurationVar(&l.since, "since", 0, "Only lines younger than this: 5s, 2m, 3h")
	f.BoolVar(&l.ignoreErrors, "ignore-errors", false, "Go on with the next container after an error")
	f.StringVar(&l.component, "component", "", "apiserver, scheduler, controllers or agent instead of a container")
	f.StringVar(&l.node, "node", "", "With --component agent: of which node")
	complete(c, "component", cobra.FixedCompletions([]string{"apiserver", "scheduler", "controllers", "agent"}, cobra.ShellCompDirectiveNoFileComp))
	complete(c, "node", s.completeNames(api.NodeKind))
	return c
}

func (l *logs) run(c *cobra.Command, args []string) error {
	service, err := l.connect()
	if err != nil {
		return err
	}
	l.service = service
	sources, err := l.sources(c, args)
	if err != nil {
		return err
	}
	if l.follow && len(sources) > 1 {
		return l.together(c, sources)
	}
	for _, s := range sources {
		err := l.one(c.Context(), s, l.writer(c.OutOrStdout(), s))
		if err != nil && !l.ignoreErrors {
			return err
		}
	}
	return nil
}

// sources says which logs the arguments and flags mean.
func (l *logs) sources(c *cobra.Command, args []string) ([]logSource, error) {
	switch {
	case l.component != "":
		return l.componentSource(c, args)
	case l.label != "" && len(args) > 0:
		return nil, usage(c, "only a selector (-l) or a POD name is allowed")
	case l.label != "":
		return l.selected(c)
	case len(args) == 0:
		return nil, usage(c, "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for the logs command")
	}
	if len(args) == 2 && api.Builtin.Find(args[0]) == nil { // logs POD CONTAINER
		l.container, args = args[1], args[:1]
	}
	pod, err := l.onePod(c, l.service, args)
	if err != nil {
		return nil, err
	}
	return l.ofPod(c, pod)
}

func (l *logs) componentSource(c *cobra.Command, args []string) ([]logSource, error) {
	if len(args) > 0 {
		return nil, usage(c, "only --component or a POD name is allowed")
	}
	switch l.component {
	case "agent":
		if l.node == "" {
			return nil, usage(c, "--component agent needs --node: `ctl get nodes` lists them")
		}
		return []logSource{{target: api.Target{Kind: api.NodeKind, Key: api.Key{Name: l.node}, Sub: "log"}}}, nil
	case "apiserver", "scheduler", "controllers":
		return []logSource{{target: api.Target{Kind: api.ComponentStatusKind, Key: api.Key{Name: l.component}, Sub: "log"}}}, nil
	}
	return nil, usage(c, "unknown component %q: there are apiserver, scheduler, controllers and agent", l.component)
}

func (l *logs) selected(c *cobra.Command) ([]logSource, error) {
	if err := l.check(nil); err != nil {
		return nil, err
	}
	if !c.Flags().Changed("tail") {
		l.tail = 10
	}
	pods, err := api.Pods.List(c.Context(), l.service, l.ns(), api.ListOptions{Selector: l.labelSelector})
	if err != nil {
		return nil, err
	}
	if len(pods) == 0 {
		fmt.Fprintf(c.ErrOrStderr(), "No resources found in %s namespace.\n", l.ns())
	}
	var all []logSource
	for _, pod := range pods {
		sources, err := l.ofPod(c, pod)
		if err != nil {
			return nil, err
		}
		all = append(all, sources...)
	}
	return all, nil
}

func (l *logs) ofPod(c *cobra.Command, pod *corev1.Pod) ([]logSource, error) {
	target := api.Target{Kind: api.PodKind, Key: api.KeyOf(pod), Sub: "log"}
	if !l.every {
		name, err := chooseContainer(pod, l.container, func(said string) { fmt.Fprintln(c.ErrOrStderr(), said) })
		return []logSource{{target, name}}, err
	}
	if l.container != "" {
		return nil, usage(c, "--all-containers=true should not be specified with container name %s", l.container)
	}
	var all []logSource
	for _, name := range containerNames(pod) {
		all = append(all, logSource{target, name})
	}
	return all, nil
}

// maxFollowed bounds how many logs are followed at once; each is a stream of its own.
const maxFollowed = 50

// together follows several logs at once; lines are not torn.
func (l *logs) together(c *cobra.Command, sources []logSource) error {
	if len(sources) > maxFollowed {
		return fmt.Errorf("you are attempting to follow %d log streams, but maximum allowed concurrency is %d; select fewer pods", len(sources), maxFollowed)
	}
	out := &shared{out: c.OutOrStdout()}
	g, ctx := errgroup.WithContext(c.Context())
	for _, s := range sources {
		g.Go(func() error {
			err := l.one(ctx, s, l.writer(out, s))
			if l.ignoreErrors && !errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		})
	}
	return g.Wait()
}

func (l *logs) one(ctx context.Context, s logSource, out io.Writer) error {
	stream, err := l.service.Connect(ctx, s.target, l.params(s.container))
	if err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return drain(stream, out, out)
}

func (l *logs) params(container string) url.Values {
	p := url.Values{}
	if container != "" {
		p.Set("container", container)
	}
	for name, on := range map[string]bool{"follow": l.follow, "previous": l.previous, "timestamps": l.timestamps} {
		if on {
			p.Set(name, "true")
		}
	}
	if l.tail >= 0 {
		p.Set("tailLines", strconv.FormatInt(l.tail, 10))
	}
	if l.since > 0 {
		p.Set("sinceSeconds", strconv.FormatInt(int64(max(time.Second, l.since)/time.Second), 10))
	}
	return p
}

// writer wraps the output for one log: with its prefix, or with colours for components' levels.
func (l *logs) writer(out io.Writer, s logSource) io.Writer {
	switch {
	case s.container == "" && isTerminal(out):
		return &lines{out: out, each: colour}
	case l.prefix && s.container != "":
		prefix := []byte(fmt.Sprintf("[pod/%s/%s] ", s.target.Key.Name, s.container))
		return &lines{out: out, each: func(line []byte) []byte { return slices.Concat(prefix, line) }}
	case s.container != "" && l.follow:
		return &lines{out: out, each: func(line []byte) []byte { return line }}
	}
	return out
}
