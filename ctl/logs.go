package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"optimist/internal/api"
)

type logs struct {
	selection
	container, node                 string
	components                      []string
	asWritten                       bool
	follow, previous, timestamps    bool
	everyContainer, prefix, lenient bool
	tail                            int64
	since                           time.Duration
}

type logSource struct {
	target    api.Target
	container string
}

func logsCommand(s *session) *cobra.Command {
	l := &logs{selection: selection{session: s}}
	c := &cobra.Command{Use: "logs (POD | TYPE/NAME | -l SELECTOR | --component NAME,…)",
		Short: "Print what containers, or the cluster's own components, have written", ValidArgsFunction: s.completeNames(api.PodKind), RunE: l.run,
		Example: "  ctl logs web-1\n  ctl logs -f deploy/web --tail=20\n  ctl logs -l app=web --all-containers --prefix\n  ctl logs --component scheduler,node/n1 -f\n" +
			"  ctl logs --component all --since=1m"}
	f := c.Flags()
	f.StringVarP(&l.label, "selector", "l", "", "All pods with these labels")
	f.StringVarP(&l.container, "container", "c", "", "The container; by default the pod's first")
	f.BoolVar(&l.everyContainer, "all-containers", false, "All containers of the pod")
	f.BoolVarP(&l.follow, "follow", "f", false, "Go on printing what comes")
	f.BoolVarP(&l.previous, "previous", "p", false, "The container's run before the last restart")
	f.BoolVar(&l.prefix, "prefix", false, "Begin each line with pod and container")
	f.BoolVar(&l.timestamps, "timestamps", false, "Begin each line with its time")
	f.Int64Var(&l.tail, "tail", -1, "How many of the last lines; -1 means all (10 with a selector)")
	f.DurationVar(&l.since, "since", 0, "Only lines younger than this: 5s, 2m, 3h")
	f.BoolVar(&l.lenient, "ignore-errors", false, "Go on with the next container after an error")
	f.StringSliceVar(&l.components, "component", nil, "Instead of containers the cluster's own parts: apiserver, scheduler, controllers, node/NAME (its agent), agent (of every node), all")
	f.BoolVar(&l.asWritten, "raw", false, "With --component: the lines as they were written")
	f.StringVar(&l.node, "node", "", "With --component agent: of which node")
	complete(c, "component", cobra.FixedCompletions(append(components, "agent", "all"), cobra.ShellCompDirectiveNoFileComp))
	complete(c, "node", s.completeNames(api.NodeKind))
	return c
}

// maxFollowed bounds how many logs are followed at once; each is a stream of its own.
const maxFollowed = 50

// run prints one log after the other, or follows them together.
func (l *logs) run(c *cobra.Command, args []string) error {
	if len(l.components) > 0 {
		return l.runComponents(c, args)
	}
	sources, err := l.sources(c, args)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(c.Context())
	switch {
	case !l.follow:
		g.SetLimit(1)
	case len(sources) > maxFollowed:
		return fmt.Errorf("you are attempting to follow %d log streams, but maximum allowed concurrency is %d; select fewer pods", len(sources), maxFollowed)
	}
	out := &serial{w: c.OutOrStdout()}
	for _, s := range sources {
		g.Go(func() error {
			err := ctx.Err()
			if err == nil {
				err = l.listen(ctx, s.target, l.params(s.container), l.writer(out, s))
			}
			if l.lenient && !errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		})
	}
	return g.Wait()
}

// sources says which logs the arguments and flags mean.
func (l *logs) sources(c *cobra.Command, args []string) ([]logSource, error) {
	switch {
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
	pod, err := l.onePod(c, args)
	if err != nil {
		return nil, err
	}
	return l.ofPod(c, pod)
}

func (l *logs) selected(c *cobra.Command) (all []logSource, err error) {
	if err := l.parseSelectors(); err != nil {
		return nil, err
	}
	if !c.Flags().Changed("tail") {
		l.tail = 10
	}
	pods, err := api.Pods.List(c.Context(), l, l.ns(), l.options)
	if err == nil && len(pods) == 0 {
		fmt.Fprintln(c.ErrOrStderr(), l.nothing(nil))
	}
	for _, pod := range pods {
		sources, err := l.ofPod(c, pod)
		if err != nil {
			return nil, err
		}
		all = append(all, sources...)
	}
	return all, err
}

func (l *logs) ofPod(c *cobra.Command, pod *corev1.Pod) (all []logSource, err error) {
	target := api.Target{Kind: api.PodKind, Key: api.KeyOf(pod), Sub: "log"}
	if !l.everyContainer {
		name, err := chooseContainer(c, pod, l.container, false)
		return []logSource{{target, name}}, err
	}
	if l.container != "" {
		return nil, usage(c, "--all-containers=true should not be specified with container name %s", l.container)
	}
	for _, name := range containerNames(pod) {
		all = append(all, logSource{target, name})
	}
	return all, nil
}

func (l *logs) params(container string) url.Values {
	p := url.Values{}
	set := func(name, value string, on bool) {
		if on {
			p.Set(name, value)
		}
	}
	set("container", container, container != "")
	set("follow", "true", l.follow)
	set("previous", "true", l.previous)
	set("timestamps", "true", l.timestamps)
	set("tailLines", strconv.FormatInt(l.tail, 10), l.tail >= 0)
	set("sinceSeconds", strconv.FormatInt(int64(max(time.Second, l.since)/time.Second), 10), l.since > 0)
	return p
}

// writer keeps the lines of several logs whole.
func (l *logs) writer(out *serial, s logSource) io.Writer {
	prefix := ""
	if l.prefix && s.container != "" {
		prefix = fmt.Sprintf("[pod/%s/%s] ", s.target.Key.Name, s.container)
	} else if !l.follow {
		return out
	}
	return &byLine{see: func(line []byte) error { _, err := fmt.Fprintf(out, "%s%s", prefix, line); return err }}
}
