package trace

import (
	"cmp"
	"fmt"
	"strings"

	"optimist/internal/api"
)

// Who is the author of a write: "kubernetes-admin with kubectl", "scheduler", "controller deployment", "node n1".
func Who(e api.Entry) string {
	who := cmp.Or(strings.TrimPrefix(e.User, "system:"), "somebody")
	for _, kind := range []string{"controller:", "node:"} {
		if name, ok := strings.CutPrefix(who, kind); ok {
			who = strings.TrimSuffix(kind, ":") + " " + name
		}
	}
	if e.Manager != "" {
		who += " with " + e.Manager
	}
	return who
}

// Did is what was done: "create", "patch status", "bind".
func Did(e api.Entry) string {
	if e.Sub == "binding" {
		return "bind"
	}
	return strings.TrimSpace(string(e.Verb) + " " + e.Sub)
}

// Object names what a write was about, as ctl's arguments do; the namespace is said if it is another than where one is.
func Object(e api.Entry, namespace string) string { return name(e.Object, namespace) }

func name(r api.Ref, namespace string) string {
	text := strings.ToLower(r.Kind)
	if r.Name != "" {
		text += "/" + r.Name
	}
	if r.Namespace != "" && r.Namespace != namespace {
		text += " in " + r.Namespace
	}
	return text
}

// reasons word the edges; %s is the write at the other end.
var reasons = map[api.CauseType]string{
	api.CauseTrigger: "because of %s",
	api.CauseOwner:   "for %s",
	api.CauseWake:    "because room was made by %s",
	api.CauseTimer:   "because time had passed since %s",
	api.CauseRestart: "because its author had just started, and saw %s",
}

// Because is a cause in words: "because of deployment/web (rev 41: kubernetes-admin with ctl, patch)". The write at its other end is nil if it
// is not known any more.
func Because(c api.Cause, of *api.Entry, namespace string) string {
	reason := reasons[c.Type]
	switch {
	case reason == "":
		reason = "because of %s"
	case c.Revision == 0:
		return strings.TrimSuffix(strings.TrimSuffix(fmt.Sprintf(reason, ""), " since "), ", and saw ")
	}
	if of == nil {
		return fmt.Sprintf(reason, fmt.Sprintf("revision %d, which the journal has forgotten", c.Revision))
	}
	return fmt.Sprintf(reason, fmt.Sprintf("%s (rev %d: %s, %s)", Object(*of, namespace), c.Revision, Who(*of), Did(*of)))
}

// Nearest is the edge that says most: the newest that is no wake, else the newest; false without any.
func Nearest(all api.Causes) (best api.Cause, ok bool) {
	for _, c := range all.Edges {
		if !ok || c.Type != api.CauseWake || best.Type == api.CauseWake {
			best, ok = c, true
		}
	}
	return best, ok
}
