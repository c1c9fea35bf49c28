package ctl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"optimist/internal/api"
)

// Main runs ctl with the process's arguments and returns its exit code. extra are commands of other packages (up, stop, down …).
func Main(extra ...*cobra.Command) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second Ctrl-C does not ask
	return Run(ctx, New(extra...), os.Args[1:])
}

// Run executes one command line. It words errors as kubectl does, on the command's standard error, and returns the exit code.
func Run(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if ctx.Err() != nil {
		return 130 // as shells report a Ctrl-C
	}
	if text := explain(err); text != "" {
		fmt.Fprintln(root.ErrOrStderr(), text)
	}
	var own *exitError
	if errors.As(err, &own) {
		return own.code
	}
	return 1
}

// New returns the whole command tree, for the cluster that the kubeconfig names.
func New(extra ...*cobra.Command) *cobra.Command { return tree(&session{}, extra) }

// Over returns the same tree over a Service that is already there: a cluster in this process.
func Over(service api.Service, extra ...*cobra.Command) *cobra.Command {
	return tree(&session{Service: service}, extra)
}

func tree(s *session, extra []*cobra.Command) *cobra.Command {
	root := &cobra.Command{Use: "ctl", Short: "ctl controls an Optimist cluster",
		Long: "ctl controls an Optimist cluster. Its commands, flags and outputs are those of kubectl.", SilenceUsage: true, SilenceErrors: true}
	root.SetFlagErrorFunc(usageError)
	s.flags(root)
	for _, group := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"objects", "Objects:", s.connected(getCommand(s), describeCommand(s), applyCommand(s), createCommand(s), deleteCommand(s), scaleCommand(s), rolloutCommand(s),
			setCommand(s),
			patchCommand(s), replaceCommand(s), notes[0].command(s), notes[1].command(s), runCommand(s), exposeCommand(s), editCommand(s),
			diffCommand(s), waitCommand(s), eventsCommand(s))},
		{"why", "What happened, and why:", s.connected(whyCommand(s), historyCommand(s), traceCommand(s))},
		{"look", "Running containers:", s.connected(logsCommand(s), execCommand(s), attachCommand(s), portForwardCommand(s), cpCommand(s))},
		{"cluster", "The cluster itself:", append(s.connected(authCommand(s), certificateCommand(s), tokenCommand(s), encryptionCommand(s), imageCommand(s), taintCommand(s), cordonCommand(s, "cordon", "Let a node take no new pods", true),
			cordonCommand(s, "uncordon", "Let it take pods again", false), drainCommand(s)), append(extra, doctorCommand(s))...)},
		{"learn", "Learning:", []*cobra.Command{labCommand(s)}},
		{"settings", "Settings and help:", []*cobra.Command{configCommand(s), versionCommand(s), apiResourcesCommand(), apiVersionsCommand(), explainCommand(), kustomizeCommand(), s.connected(clusterInfoCommand(s))[0]}},
	} {
		root.AddGroup(&cobra.Group{ID: group.id, Title: group.title})
		for _, c := range group.commands {
			c.GroupID = group.id
			root.AddCommand(c)
		}
	}
	root.SetHelpCommandGroupID("settings")
	root.SetCompletionCommandGroupID("settings")
	return root
}
