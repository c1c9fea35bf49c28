package ctl

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"optimist/ctl/printer"
	"optimist/internal/api"
)

func authCommand(s *session) *cobra.Command {
	return parent("auth", "Ask who one is, and what one may do", canICommand(s), whoAmICommand(s))
}

// columns is a writer that aligns what tabs separate, as kubectl does.
func columns(c *cobra.Command) *tabwriter.Writer {
	return tabwriter.NewWriter(c.OutOrStdout(), 6, 4, 3, ' ', 0)
}

func whoAmICommand(s *session) *cobra.Command {
	var output printer.Format
	c := &cobra.Command{Use: "whoami", Short: "Print whom the server takes us for", Args: exactly(0, "no arguments")}
	formatFlags(c, &output, false)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := output.Parse(false); err != nil {
			return err
		}
		r, err := api.SelfSubjectReviews.Create(c.Context(), s, &authenticationv1.SelfSubjectReview{})
		if err != nil {
			return err
		}
		if output.Name != "" {
			return output.Object(c.OutOrStdout(), printer.Item{Kind: api.SelfSubjectReviewKind, Object: r})
		}
		w, u := columns(c), r.Status.UserInfo
		fmt.Fprintln(w, "ATTRIBUTE\tVALUE")
		for _, row := range [][2]string{{"Username", u.Username}, {"UID", u.UID}, {"Groups", fmt.Sprint(u.Groups)}} {
			if row[1] != "" && row[1] != "[]" {
				fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
			}
		}
		for _, key := range slices.Sorted(maps.Keys(u.Extra)) {
			fmt.Fprintf(w, "Extra: %s\t%v\n", key, u.Extra[key])
		}
		return w.Flush()
	}
	return c
}

// canI is one question, or, with list, all of them.
type canI struct {
	*session
	all, quiet, list, bare bool
	sub                    string
}

func canICommand(s *session) *cobra.Command {
	q := &canI{session: s}
	c := &cobra.Command{Use: "can-i VERB [TYPE | TYPE/NAME | NONRESOURCEURL]", Short: "Ask whether one may do something",
		Example: "  ctl auth can-i create pods --all-namespaces\n  ctl auth can-i get pods --subresource=log\n" +
			"  ctl auth can-i list pods --as=system:serviceaccount:dev:foo -n prod\n  ctl auth can-i --list --namespace=foo"}
	f := c.Flags()
	f.BoolVarP(&q.all, "all-namespaces", "A", false, "Ask about all namespaces")
	f.BoolVarP(&q.quiet, "quiet", "q", false, "Print nothing: the exit code says it")
	f.StringVar(&q.sub, "subresource", "", "A subresource, such as log or scale")
	f.BoolVar(&q.list, "list", false, "Print all that one may do")
	f.BoolVar(&q.bare, "no-headers", false, "With --list, print no column headers")
	c.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case q.list && len(args) > 0:
			return errors.New("list option must be specified with no arguments")
		case q.list && (q.quiet || q.all || q.sub != ""):
			return errors.New("list option can't be specified with neither quiet, all-namespaces nor subresource options")
		case q.list:
			return q.rules(c)
		case len(args) != 2:
			return errors.New("you must specify two arguments: verb resource or verb resource/resourceName.\nSee 'ctl auth can-i -h' for help and examples.")
		case q.bare:
			return errors.New("--no-headers cannot be set without --list specified")
		}
		return q.ask(c, args[0], args[1])
	}
	return c
}

var (
	resourceVerbs = strings.Fields("get list watch create update patch delete deletecollection use bind impersonate * approve sign escalate attest")
	pathVerbs     = strings.Fields("get put post head options delete patch *")
)

func (q *canI) ask(c *cobra.Command, verb, what string) error {
	r, known := &authorizationv1.SelfSubjectAccessReview{}, resourceVerbs
	warn := func(format string, args ...any) { fmt.Fprintf(c.ErrOrStderr(), "Warning: "+format+"\n\n", args...) }
	if strings.HasPrefix(what, "/") {
		if q.sub != "" {
			return errors.New("--subresource can not be used with NonResourceURL")
		}
		r.Spec.NonResourceAttributes, known = &authorizationv1.NonResourceAttributes{Verb: verb, Path: what}, pathVerbs
	} else {
		r.Spec.ResourceAttributes = q.attributes(warn, verb, what)
	}
	if !slices.Contains(known, verb) {
		warn("verb '%s' is not a known verb", verb)
	}
	r, err := api.SelfSubjectAccessReviews.Create(c.Context(), q, r)
	if err != nil {
		return err
	}
	out := c.OutOrStdout()
	if q.quiet {
		out = io.Discard
	}
	if r.Status.Allowed {
		fmt.Fprintln(out, "yes")
		return nil
	}
	text := "no"
	for _, why := range []string{r.Status.Reason, r.Status.EvaluationError} {
		if why != "" {
			text += " - " + why
		}
	}
	fmt.Fprintln(out, text)
	return &exitError{code: 1}
}

// attributes are those of TYPE or TYPE/NAME; a type that nobody knows is asked about as it stands.
func (q *canI) attributes(warn func(string, ...any), verb, what string) *authorizationv1.ResourceAttributes {
	kind, name, _ := strings.Cut(what, "/")
	a := &authorizationv1.ResourceAttributes{Verb: verb, Resource: kind, Name: name, Subresource: q.sub}
	if !q.all {
		a.Namespace = q.ns()
	}
	k := api.Builtin.Find(kind)
	switch group := ""; {
	case k == nil && kind != "*" && kind != "users" && kind != "groups":
		warn("the server doesn't have a resource type '%s'", kind)
	case k != nil:
		if a.Group, a.Resource = k.Group, k.Plural; k.Group != "" {
			group = fmt.Sprintf(" in group '%s'", k.Group)
		}
		if !k.Namespaced && !q.all {
			warn("resource '%s' is not namespace scoped%s", k.Plural, group)
		}
	}
	return a
}

func (q *canI) rules(c *cobra.Command) error {
	r, err := api.SelfSubjectRulesReviews.Create(c.Context(), q, &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: q.ns()}})
	if err != nil {
		return err
	}
	if r.Status.Incomplete {
		fmt.Fprintf(c.ErrOrStderr(), "Warning: the list may be incomplete: %v\n", r.Status.EvaluationError)
	}
	rows := pieces(r.Status)
	slices.SortStableFunc(rows, func(a, b *rbacv1.PolicyRule) int { return cmp.Compare(a.String(), b.String()) })
	w := columns(c)
	if !q.bare {
		fmt.Fprintln(w, "Resources\tNon-Resource URLs\tResource Names\tVerbs")
	}
	for _, row := range rows {
		what := ""
		if len(row.Resources) > 0 {
			resource, sub, isSub := strings.Cut(row.Resources[0], "/")
			if what = strings.TrimSuffix(resource+"."+row.APIGroups[0], "."); isSub {
				what += "/" + sub
			}
		}
		fmt.Fprintf(w, "%s\t%v\t%v\t%v\n", what, row.NonResourceURLs, row.ResourceNames, row.Verbs)
	}
	return w.Flush()
}

// pieces are rules for one thing each, with all verbs that are allowed on it; for paths, one verb each.
func pieces(s authorizationv1.SubjectRulesReviewStatus) (rows []*rbacv1.PolicyRule) {
	seen := map[string]*rbacv1.PolicyRule{}
	for _, r := range s.ResourceRules {
		names := append(slices.Collect(slices.Chunk(r.ResourceNames, 1)), nil)[:max(1, len(r.ResourceNames))]
		for _, group := range r.APIGroups {
			for _, resource := range r.Resources {
				for _, name := range names {
					key := fmt.Sprintf("%q", []any{group, resource, name})
					if seen[key] == nil {
						seen[key] = &rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: name}
						rows = append(rows, seen[key])
					}
					for _, verb := range r.Verbs {
						if !slices.Contains(seen[key].Verbs, verb) {
							seen[key].Verbs = append(seen[key].Verbs, verb)
						}
					}
				}
			}
		}
	}
	for _, r := range s.NonResourceRules {
		for _, url := range r.NonResourceURLs {
			for _, verb := range r.Verbs {
				rows = append(rows, &rbacv1.PolicyRule{NonResourceURLs: []string{url}, Verbs: []string{verb}})
			}
		}
	}
	return rows
}

func createTokenCommand(s *session) *cobra.Command {
	var output printer.Format
	c := &cobra.Command{Use: "token SERVICE_ACCOUNT_NAME", Short: "Ask for a token of a ServiceAccount", Args: exactly(1, "the name of a ServiceAccount"),
		ValidArgsFunction: s.completeNames(api.ServiceAccountKind),
		Example:           "  ctl create token myapp --duration 10m\n  ctl create token myapp --bound-object-kind Secret --bound-object-name mysecret"}
	formatFlags(c, &output, false)
	f := c.Flags()
	audiences := f.StringArray("audience", nil, "For whom the token is; none: for the API server. May be repeated")
	life := f.Duration("duration", 0, "How long the token shall live; 0 = as the server thinks fit")
	to := &authenticationv1.BoundObjectReference{APIVersion: "v1"}
	f.StringVar(&to.Kind, "bound-object-kind", "", "The kind of the object with which the token ends: Pod, Secret or Node")
	f.StringVar(&to.Name, "bound-object-name", "", "The name of that object")
	f.StringVar((*string)(&to.UID), "bound-object-uid", "", "The uid of that object; none: that of the one that is there")
	c.RunE = func(c *cobra.Command, args []string) error {
		r := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: *audiences}}
		if err := cmp.Or(output.Parse(false), checkTokenFlags(*life, *audiences, to)); err != nil {
			return err
		}
		if seconds := int64(*life / time.Second); seconds > 0 {
			r.Spec.ExpirationSeconds = &seconds
		}
		if to.Kind != "" {
			r.Spec.BoundObjectRef = to
		}
		done, err := s.Write(c.Context(), api.ServiceAccounts.Request(api.VerbCreate, api.Key{Namespace: s.ns(), Name: args[0]}, "token", r))
		if err != nil {
			return errors.New("failed to create token: " + err.Error()) // kubectl, too, forgets here what kind of error it is
		}
		for _, text := range done.Warnings {
			fmt.Fprintln(c.ErrOrStderr(), "Warning:", text)
		}
		if output.Name != "" {
			return output.Object(c.OutOrStdout(), printer.Item{Kind: api.ServiceAccountKind, Object: done.Object})
		}
		fmt.Fprint(c.OutOrStdout(), done.Object.(*authenticationv1.TokenRequest).Status.Token)
		if terminalOf(c.OutOrStdout()) != nil {
			fmt.Fprintln(c.OutOrStdout())
		}
		return nil
	}
	return c
}

func checkTokenFlags(life time.Duration, audiences []string, to *authenticationv1.BoundObjectReference) error {
	for _, fault := range []struct {
		is   bool
		text string
	}{
		{life < 0, "--duration must be greater than or equal to 0"},
		{life%time.Second != 0, "--duration cannot be expressed in units less than seconds"},
		{slices.Contains(audiences, ""), "--audience must not be an empty string"},
		{to.Kind == "" && to.Name != "", "--bound-object-name can only be set if --bound-object-kind is provided"},
		{to.Kind == "" && to.UID != "", "--bound-object-uid can only be set if --bound-object-kind is provided"},
		{to.Kind != "" && !slices.Contains([]string{"Node", "Pod", "Secret"}, to.Kind), "supported --bound-object-kind values are Node, Pod, Secret"},
		{to.Kind != "" && to.Name == "", "--bound-object-name is required if --bound-object-kind is provided"},
	} {
		if fault.is {
			return errors.New(fault.text)
		}
	}
	return nil
}
