package ctl

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// exitError ends ctl with a code of somebody else: that of the process which exec ran.
type exitError struct {
	code int
	text string
}

func (e *exitError) Error() string { return e.text }

// sourced says what was being done, with which document, when the server refused.
type sourced struct {
	doing, source string
	err           error
}

func (e *sourced) Error() string {
	return fmt.Sprintf("error when %s %q: %v", e.doing, e.source, e.err)
}
func (e *sourced) Unwrap() error { return e.err }

// explain words an error as kubectl does, one line for each of several.
func explain(err error) string {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		var lines []string
		for _, e := range several.Unwrap() {
			lines = append(lines, explain(e))
		}
		return strings.Join(lines, "\n")
	}
	var exit *exitError
	var status apierrors.APIStatus
	switch {
	case errors.As(err, &exit):
		return exit.text
	case errors.As(err, &status):
		return explainStatus(err, status.Status())
	default:
		return "error: " + err.Error()
	}
}

func explainStatus(err error, s metav1.Status) string {
	switch {
	case s.Reason == metav1.StatusReasonInvalid && s.Details != nil && s.Details.Name+s.Details.Kind != "":
		return invalid(err, s)
	case s.Reason == metav1.StatusReasonUnauthorized:
		return "error: You must be logged in to the server (" + s.Message + ")"
	case s.Reason == metav1.StatusReasonServiceUnavailable:
		return "error: " + err.Error()
	case s.Reason == "":
		return "Error from server: " + err.Error()
	}
	return fmt.Sprintf("Error from server (%s): %v", s.Reason, err)
}

// invalid lists the faults of an object, one a line when there are several.
func invalid(err error, s metav1.Status) string {
	head := fmt.Sprintf("The %s %q is invalid: ", s.Details.Kind, s.Details.Name)
	var from *sourced
	if errors.As(err, &from) {
		head = from.source + ": " + head
	}
	var faults []string
	for _, c := range s.Details.Causes {
		faults = append(faults, strings.TrimPrefix(c.Field+": "+c.Message, ": "))
	}
	switch len(faults) {
	case 0:
		return head + s.Message
	case 1:
		return head + faults[0]
	}
	return head + "\n* " + strings.Join(faults, "\n* ")
}

// usageError is what a wrong flag gives: one line, and where help is.
func usageError(c *cobra.Command, err error) error {
	return fmt.Errorf("%w\nSee '%s --help' for usage", err, c.CommandPath())
}

// usage is the same for wrong arguments.
func usage(c *cobra.Command, format string, args ...any) error {
	return usageError(c, fmt.Errorf(format, args...))
}

// parent makes a command that only holds others: by itself it prints its help.
func parent(use, short string, children ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, RunE: func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage(c, "unknown command %q for %q", args[0], c.CommandPath())
		}
		return c.Help()
	}}
	c.AddCommand(children...)
	return c
}

// exactly is an argument check that says what was expected.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return usage(c, "expected %s, got %d arguments", what, len(args))
		}
		return nil
	}
}

// oneOf checks a flag that has few values.
func oneOf(complaint, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf(complaint, value)
}

// unreachable reports that there is no server to talk to (or it cannot serve): trying the next object is in vain.
func unreachable(err error) bool { return apierrors.IsServiceUnavailable(err) }

// faults are what went wrong while the rest went on.
type faults []error

// add drops nil, and says only once that nobody answers.
func (f *faults) add(errs ...error) {
	for _, err := range errs {
		if err != nil && !(unreachable(err) && slices.ContainsFunc(*f, unreachable)) {
			*f = append(*f, err)
		}
	}
}

// err is errors.Join that leaves a single error as it is.
func (f faults) err() error {
	if len(f) == 1 {
		return f[0]
	}
	return errors.Join(f...)
}

// warnings prints each warning once, however many objects it came with.
type warnings map[string]bool

func (w warnings) tell(c *cobra.Command, texts ...string) {
	for _, text := range texts {
		if !w[text] {
			fmt.Fprintln(c.ErrOrStderr(), "Warning: "+text)
		}
		w[text] = true
	}
}
