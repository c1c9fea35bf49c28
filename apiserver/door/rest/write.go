package rest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"optimist/internal/api"
	"optimist/internal/wire"
	"optimist/proto"
)

const maxBody = 3 << 20

// body reads what the client sends.
func (c *call) body() ([]byte, error) {
	var data []byte
	err := error(&http.MaxBytesError{})
	if c.r.ContentLength <= maxBody { // else its size says enough
		data, err = io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxBody))
	}
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		err = apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("limit is %d", maxBody))
	} else if err != nil {
		err = apierrors.NewBadRequest("the body of the request cannot be read: " + err.Error())
	}
	return data, err
}

// write creates, updates or patches.
func (s *Server) write(c *call, v api.Verb) error {
	req, err := c.request(v)
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

// request reads options and body; those of a patch have all that others have. Protobuf is decoded here, all else in the registry, which sees
// unknown fields.
func (c *call) request(v api.Verb) (api.Request, error) {
	req := api.Request{Target: c.Target, Verb: v}
	header, taken := c.r.Header.Get("Content-Type"), medias
	if v == api.VerbPatch {
		header, taken = cmp.Or(header, "none"), patchTypes // which it is must be said
	}
	media, err := bodyMedia(header, taken...)
	if err != nil {
		return req, err
	}
	data, err := c.body()
	if err != nil {
		return req, err
	}
	o, err := parameters(c.query, metav1.Convert_url_Values_To_v1_PatchOptions)
	if err != nil {
		return req, err
	}
	if v == api.VerbPatch {
		err = invalid("PatchOptions", validation.ValidatePatchOptions(&o, types.PatchType(media)))
	} else { // those of an update are the same
		kind := map[api.Verb]string{api.VerbCreate: "CreateOptions", api.VerbUpdate: "UpdateOptions"}[v]
		err = invalid(kind, validation.ValidateCreateOptions(&metav1.CreateOptions{DryRun: o.DryRun, FieldManager: o.FieldManager, FieldValidation: o.FieldValidation}))
	}
	req.Options = c.options(o.DryRun, o.FieldManager, o.FieldValidation)
	switch {
	case err != nil:
	case v == api.VerbPatch:
		req.Force = o.Force != nil && *o.Force
		req.Patch = &api.Patch{Type: types.PatchType(media), Data: data}
	case media == mediaProto:
		req.Body, err = c.decode(data)
	default:
		req.Raw = &api.Raw{MediaType: media, Data: data}
	}
	return req, err
}

// options are those of every write.
func (c *call) options(dryRun []string, manager, validation string) api.Options {
	return api.Options{DryRun: len(dryRun) > 0, Manager: cmp.Or(manager, agent(c.r.UserAgent())), Validation: cmp.Or(api.FieldValidation(validation), api.Warn)}
}

// agent is the field manager who names himself only as a browser would.
func agent(header string) string {
	name, _, _ := strings.Cut(header, "/")
	var b strings.Builder
	for _, r := range name {
		if unicode.IsPrint(r) && b.Len()+utf8.RuneLen(r) <= validation.FieldManagerMaxLength {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// decode reads a body in protobuf, which says what it is.
func (c *call) decode(data []byte) (api.Object, error) {
	gvk, raw, err := open(data)
	if err != nil {
		return nil, err
	}
	body := &proto.Body{Data: raw}
	if gvk.Empty() {
		gvk = api.SubBody[c.Sub]
	}
	if !gvk.Empty() {
		body.Kind = gvk.Group + "/" + gvk.Version + "/" + gvk.Kind
	}
	return wire.DecodeBody(c.Target, body)
}

// open takes the envelope off an object in protobuf.
func open(data []byte) (schema.GroupVersionKind, []byte, error) {
	var u runtime.Unknown
	data, ok := bytes.CutPrefix(data, []byte(magic))
	if !ok {
		return schema.GroupVersionKind{}, nil, apierrors.NewBadRequest("provided data does not appear to be a protobuf message, expected prefix k8s\\x00")
	}
	if err := u.Unmarshal(data); err != nil {
		return schema.GroupVersionKind{}, nil, apierrors.NewBadRequest(err.Error())
	}
	return schema.FromAPIVersionAndKind(u.APIVersion, u.Kind), u.Raw, nil
}

// delete deletes an object, or a collection.
func (s *Server) delete(c *call, v api.Verb) error {
	o, err := c.deleteOptions()
	if err != nil {
		return err
	}
	req := api.Request{Target: c.Target, Verb: v, Options: c.options(nil, "", "")}
	if err := req.TakeDelete(&o); err != nil {
		return err
	}
	if v == api.VerbDeleteCollection {
		sel, err := c.selection()
		if err == nil {
			req.Match, err = sel.list()
		}
		if err != nil {
			return err
		}
	}
	res, err := s.Service.Write(c.ctx, req)
	switch {
	case err != nil:
		return err
	case res.Object == nil:
		return c.done(http.StatusOK, res.Warnings, &metav1.Status{Status: metav1.StatusSuccess, Code: http.StatusOK, Details: &metav1.StatusDetails{Kind: c.Kind.Name}})
	case res.Gone:
		return c.done(http.StatusOK, res.Warnings, &metav1.Status{Status: metav1.StatusSuccess,
			Details: &metav1.StatusDetails{Name: c.Key.Name, Group: c.Kind.Group, Kind: c.Kind.Plural, UID: res.Object.GetUID()}})
	case o.OrphanDependents != nil && !*o.OrphanDependents: //nolint:staticcheck // deprecated, and still sent
		return s.reply(c, http.StatusAccepted, res)
	}
	return s.reply(c, http.StatusOK, res)
}

// deleteOptions stand in the body, or else in the query.
func (c *call) deleteOptions() (o metav1.DeleteOptions, err error) {
	data, err := c.body()
	media := ""
	if err == nil && len(data) > 0 {
		media, err = bodyMedia(c.r.Header.Get("Content-Type"), medias...)
	}
	switch {
	case err != nil:
	case media == "":
		o, err = parameters(c.query, metav1.Convert_url_Values_To_v1_DeleteOptions)
	case media == mediaProto:
		var gvk schema.GroupVersionKind
		if gvk, data, err = open(data); err == nil {
			err = o.Unmarshal(data)
		}
		o.SetGroupVersionKind(gvk)
	default:
		err = yaml.Unmarshal(data, &o) // which JSON is, too
	}
	if _, worded := errors.AsType[*apierrors.StatusError](err); err != nil && !worded {
		err = apierrors.NewBadRequest(err.Error())
	}
	if err == nil && o.Kind != "" && o.Kind != "DeleteOptions" {
		err = apierrors.NewBadRequest("decoded object cannot be converted to DeleteOptions")
	}
	if err != nil {
		return o, err
	}
	return o, invalid("DeleteOptions", validation.ValidateDeleteOptions(&o))
}
