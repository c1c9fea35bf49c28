package rest

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"optimist/internal/api"
	"optimist/internal/wire"
	"optimist/proto"
)

const maxBody = 3 << 20

// body reads what the client sends.
func (c *call) body() ([]byte, error) {
	data, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("limit is %d", maxBody))
	}
	if err != nil {
		return nil, apierrors.NewBadRequest("the body of the request cannot be read: " + err.Error())
	}
	return data, nil
}

// write creates, updates or patches.
func (s *Server) write(c *call, v api.Verb) (err error) {
	req := api.Request{Target: c.Target, Verb: v}
	switch v {
	case api.VerbCreate:
		var o metav1.CreateOptions
		if o, err = parameters(c.query, metav1.Convert_url_Values_To_v1_CreateOptions); err == nil {
			err = invalid("CreateOptions", validation.ValidateCreateOptions(&o))
		}
		req.Options = c.options(o.DryRun, o.FieldManager, o.FieldValidation)
	case api.VerbUpdate:
		var o metav1.UpdateOptions
		if o, err = parameters(c.query, metav1.Convert_url_Values_To_v1_UpdateOptions); err == nil {
			err = invalid("UpdateOptions", validation.ValidateUpdateOptions(&o))
		}
		req.Options = c.options(o.DryRun, o.FieldManager, o.FieldValidation)
	case api.VerbPatch:
		req.Options, err = c.patch(&req)
	}
	if err == nil && v != api.VerbPatch {
		err = c.object(&req)
	}
	if err != nil {
		return err
	}
	res, err := s.Service.Write(c.ctx, req)
	if err != nil {
		return err
	}
	code := http.StatusOK
	if v == api.VerbCreate || res.Created {
		code = http.StatusCreated
	}
	if v == api.VerbCreate && (c.Sub == "binding" || c.Sub == "eviction") { // they have no state of their own to show
		return c.done(code, res.Warnings, &metav1.Status{Status: metav1.StatusSuccess, Code: int32(code)})
	}
	return s.reply(c, code, res)
}

// options are those of every write.
func (c *call) options(dryRun []string, manager, validation string) api.Options {
	o := api.Options{DryRun: len(dryRun) > 0, Manager: manager, Validation: api.FieldValidation(validation)}
	if validation == "" {
		o.Validation = api.Warn
	}
	if manager == "" {
		o.Manager = agent(c.r.UserAgent())
	}
	return o
}

// agent is the field manager who names himself only as a browser would.
func agent(header string) string {
	name, _, _ := strings.Cut(header, "/")
	name = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, name)
	for len(name) > validation.FieldManagerMaxLength {
		runes := []rune(name)
		name = string(runes[:len(runes)-1])
	}
	return name
}

// object reads the body of a create or update: protobuf here, the rest in the registry, which sees unknown fields.
func (c *call) object(req *api.Request) error {
	media, err := bodyMedia(c.r.Header.Get("Content-Type"), medias...)
	if err != nil {
		return err
	}
	data, err := c.body()
	if err != nil {
		return err
	}
	if media != mediaProto {
		req.Raw = &api.Raw{MediaType: media, Data: data}
		return nil
	}
	gvk, raw, err := open(data)
	if err != nil {
		return err
	}
	body := &proto.Body{Data: raw}
	if gvk.Empty() {
		gvk = api.SubBody[c.Sub]
	}
	if !gvk.Empty() {
		body.Kind = gvk.Group + "/" + gvk.Version + "/" + gvk.Kind
	}
	req.Body, err = wire.DecodeBody(c.Target, body)
	return err
}

// open takes the envelope off an object in protobuf.
func open(data []byte) (schema.GroupVersionKind, []byte, error) {
	var u runtime.Unknown
	rest, ok := strings.CutPrefix(string(data), magic)
	if !ok {
		return schema.GroupVersionKind{}, nil, apierrors.NewBadRequest("provided data does not appear to be a protobuf message, expected prefix k8s\\x00")
	}
	if err := u.Unmarshal([]byte(rest)); err != nil {
		return schema.GroupVersionKind{}, nil, apierrors.NewBadRequest(err.Error())
	}
	return schema.FromAPIVersionAndKind(u.APIVersion, u.Kind), u.Raw, nil
}

func (c *call) patch(req *api.Request) (api.Options, error) {
	media, _, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if media == "" {
		media = "none"
	}
	if _, err := bodyMedia(media, patchTypes...); err != nil {
		return api.Options{}, err
	}
	o, err := parameters(c.query, metav1.Convert_url_Values_To_v1_PatchOptions)
	if err == nil {
		err = invalid("PatchOptions", validation.ValidatePatchOptions(&o, types.PatchType(media)))
	}
	if err != nil {
		return api.Options{}, err
	}
	data, err := c.body()
	req.Patch = &api.Patch{Type: types.PatchType(media), Data: data}
	options := c.options(o.DryRun, o.FieldManager, o.FieldValidation)
	options.Force = o.Force != nil && *o.Force
	return options, err
}

// delete deletes an object, or a collection.
func (s *Server) delete(c *call, v api.Verb) error {
	o, err := c.deleteOptions()
	if err != nil {
		return err
	}
	req := api.Request{Target: c.Target, Verb: v, Options: c.options(o.DryRun, "", "")}
	if req.Grace = o.GracePeriodSeconds; o.PropagationPolicy != nil {
		req.Propagation = *o.PropagationPolicy
	}
	orphan := o.OrphanDependents //nolint:staticcheck // deprecated, and still sent
	if orphan != nil {
		req.Propagation = metav1.DeletePropagationBackground
		if *orphan {
			req.Propagation = metav1.DeletePropagationOrphan
		}
	}
	if p := o.Preconditions; p != nil {
		if p.UID != nil {
			req.Pre.UID = *p.UID
		}
		if p.ResourceVersion != nil {
			if req.Pre.Revision, err = revision(*p.ResourceVersion); err != nil {
				return err
			}
		}
	}
	if v == api.VerbDeleteCollection {
		sel, err := c.selection()
		if err != nil {
			return err
		}
		if req.Match, err = sel.list(); err != nil {
			return err
		}
	}
	res, err := s.Service.Write(c.ctx, req)
	if err != nil {
		return err
	}
	if res.Object == nil {
		return c.done(http.StatusOK, res.Warnings, &metav1.Status{Status: metav1.StatusSuccess, Code: http.StatusOK, Details: &metav1.StatusDetails{Kind: c.Kind.Name}})
	}
	if res.Gone {
		return c.done(http.StatusOK, res.Warnings, &metav1.Status{Status: metav1.StatusSuccess,
			Details: &metav1.StatusDetails{Name: c.Key.Name, Group: c.Kind.Group, Kind: c.Kind.Plural, UID: res.Object.GetUID()}})
	}
	code := http.StatusOK
	if orphan != nil && !*orphan {
		code = http.StatusAccepted
	}
	return s.reply(c, code, res)
}

// deleteOptions stand in the body, or else in the query.
func (c *call) deleteOptions() (o metav1.DeleteOptions, err error) {
	data, err := c.body()
	if err != nil {
		return o, err
	}
	if len(data) == 0 {
		if o, err = parameters(c.query, metav1.Convert_url_Values_To_v1_DeleteOptions); err != nil {
			return o, err
		}
		return o, invalid("DeleteOptions", validation.ValidateDeleteOptions(&o))
	}
	media, err := bodyMedia(c.r.Header.Get("Content-Type"), medias...)
	if err != nil {
		return o, err
	}
	if media == mediaProto {
		gvk, raw, err := open(data)
		if err == nil {
			err = o.Unmarshal(raw)
		}
		if err != nil {
			return o, apierrors.NewBadRequest(err.Error())
		}
		o.SetGroupVersionKind(gvk)
	} else {
		if media == mediaYAML {
			data, err = yaml.YAMLToJSON(data)
		}
		if err == nil {
			err = kjson.UnmarshalCaseSensitivePreserveInts(data, &o)
		}
		if err != nil {
			return o, apierrors.NewBadRequest(err.Error())
		}
	}
	if o.Kind != "" && o.Kind != "DeleteOptions" {
		return o, apierrors.NewBadRequest("decoded object cannot be converted to DeleteOptions")
	}
	return o, invalid("DeleteOptions", validation.ValidateDeleteOptions(&o))
}
