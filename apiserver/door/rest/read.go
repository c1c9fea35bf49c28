package rest

import (
	"context"
	"net/http"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	optionfaults "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/internal/api"
)

// call is a request on its way to the Service and back.
type call struct {
	w     http.ResponseWriter
	r     *http.Request
	ctx   context.Context
	query url.Values
	api.Target
	format

	second    time.Time // a watch: since then there were
	bookmarks int       // so many
}

// parameters reads a query into options by their generated conversion.
func parameters[T any](q url.Values, convert func(*url.Values, *T, conversion.Scope) error) (T, error) {
	var options T
	if len(q) == 0 {
		return options, nil
	}
	if err := convert(&q, &options, nil); err != nil {
		return options, apierrors.NewBadRequest(err.Error())
	}
	return options, nil
}

// invalid says what is wrong with options.
func invalid(kind string, faults field.ErrorList) error {
	if len(faults) == 0 {
		return nil
	}
	return apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: kind}, "", faults)
}

func revision(text string) (api.Revision, error) {
	r, err := api.ParseRevision(text)
	if err != nil {
		return 0, apierrors.NewBadRequest("invalid resource version: " + err.Error())
	}
	return r, nil
}

// accept finds out how the client wants its answer.
func (c *call) accept(stream bool) (err error) {
	if c.format, err = negotiate(c.r.Header.Get("Accept"), stream); err != nil || c.as != asTable {
		return err
	}
	o, err := parameters(c.query, metav1.Convert_url_Values_To_v1_TableOptions)
	if faults := optionfaults.ValidateTableOptions(&o); err == nil && len(faults) > 0 {
		err = apierrors.NewBadRequest("Unable to convert to Table as requested: " + faults.ToAggregate().Error())
	}
	c.include = o.IncludeObject
	return err
}

// get reads an object. That resourceVersionMatch=Exact shows it as it was then is ours alone.
func (s *Server) get(c *call) error {
	r, err := revision(c.query.Get("resourceVersion"))
	if err != nil {
		return err
	}
	o := api.GetOptions{NotOlderThan: r}
	if c.query.Get("resourceVersionMatch") == string(metav1.ResourceVersionMatchExact) {
		o = api.GetOptions{At: r}
	}
	res, err := s.Service.Get(c.ctx, c.Target, o)
	if err != nil {
		return err
	}
	return s.reply(c, http.StatusOK, res)
}

// selected is what lists, watches and collections have in common.
type selected struct {
	metav1.ListOptions
	labels   labels.Selector // nil = all
	fields   fields.Selector
	revision api.Revision
	initial  bool // a watch: begin with what exists
}

func (c *call) selection() (o selected, err error) {
	if o.ListOptions, err = parameters(c.query, metav1.Convert_url_Values_To_v1_ListOptions); err != nil {
		return o, err
	}
	check := internalversion.ListOptions{Watch: o.Watch, ResourceVersion: o.ResourceVersion, ResourceVersionMatch: o.ResourceVersionMatch,
		Continue: o.Continue, SendInitialEvents: o.SendInitialEvents}
	internalversion.SetListOptionsDefaults(&check, true)
	o.initial = check.SendInitialEvents != nil && *check.SendInitialEvents
	if err := invalid("ListOptions", validation.ValidateListOptions(&check, true)); err != nil {
		return o, err
	}
	if o.LabelSelector != "" {
		if o.labels, err = labels.Parse(o.LabelSelector); err != nil {
			return o, apierrors.NewBadRequest(err.Error())
		}
	}
	if o.FieldSelector != "" {
		if o.fields, err = fields.ParseSelector(o.FieldSelector); err != nil {
			return o, apierrors.NewBadRequest(err.Error())
		}
	}
	o.revision, err = revision(o.ResourceVersion)
	return o, err
}

// list is the table of https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-get-and-list, where "any" and "most recent" are one.
func (o selected) list() (api.ListOptions, error) {
	lo := api.ListOptions{Selector: o.labels, Fields: o.fields, Limit: o.Limit, Continue: o.Continue}
	switch {
	case o.Continue != "":
		if o.revision != 0 {
			return lo, apierrors.NewBadRequest("specifying resource version is not allowed when using continue")
		}
	case o.ResourceVersionMatch == metav1.ResourceVersionMatchExact, o.ResourceVersionMatch == "" && o.Limit > 0:
		lo.At = o.revision
	default:
		lo.NotOlderThan = o.revision
	}
	return lo, nil
}

func (s *Server) list(c *call, o selected) error {
	lo, err := o.list()
	if err != nil {
		return err
	}
	if c.as == "" {
		lo.View = api.Stored
	}
	l, err := s.Service.List(c.ctx, c.Target, lo)
	if err != nil {
		return err
	}
	data, err := s.many(c.format, c.Target, l)
	if err != nil {
		return err
	}
	return c.send(http.StatusOK, data)
}
