package rest

import (
	"cmp"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	openapiv2 "github.com/google/gnostic-models/openapiv2"
	openapiv3 "github.com/google/gnostic-models/openapiv3"
	"google.golang.org/protobuf/proto"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
)

// The media types of OpenAPI in protobuf.
const protoV2, protoV3 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf", "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"

const quiet = 5 * time.Second

// OpenAPI returns the handlers of /openapi/v3 (an index, and a document for each group and version) and /openapi/v2 (one document), for Config.Routes. Documents are
// built when asked for and not kept, since clients keep them: only their hashes are.
func OpenAPI(c *api.Catalogue) map[string]http.Handler {
	o := &openAPI{catalogue: c}
	o.hashes = sync.OnceValues(o.sum)
	return map[string]http.Handler{"/openapi/v2": http.HandlerFunc(o.serveV2), "/openapi/v3": http.HandlerFunc(o.serveV3)}
}

type openAPI struct {
	catalogue *api.Catalogue
	hashes    func() (map[string]string, error) // of each document of v3, by what follows /openapi/v3/

	building sync.Mutex // one document at a time: the largest takes tens of megabytes while it is built
	release  *time.Timer
}

type reference struct {
	URL string `json:"serverRelativeURL"`
}

func (o *openAPI) serveV3(w http.ResponseWriter, r *http.Request) {
	hashes, err := o.hashes()
	if err != nil {
		serveStatus(w, apierrors.NewInternalError(err))
		return
	}
	path := strings.Trim(strings.TrimPrefix(r.URL.Path, "/openapi/v3"), "/")
	tag, known := hashes[path]
	switch asked := r.URL.Query().Get("hash"); {
	case path == "":
		paths := map[string]reference{}
		for path, tag := range hashes {
			paths[path] = reference{"/openapi/v3/" + path + "?hash=" + url.QueryEscape(tag)}
		}
		serveJSON(w, r, mediaJSON, map[string]map[string]reference{"paths": paths})
		return
	case !known:
		serveStatus(w, errNoSuchPath)
		return
	case asked != "" && asked != tag:
		http.Redirect(w, r, "/openapi/v3/"+path+"?hash="+url.QueryEscape(tag), http.StatusMovedPermanently)
		return
	case asked != "":
		w.Header().Set("Cache-Control", "public, immutable")
	}
	o.serve(w, r, protoV3, tag, func() ([]byte, error) { return documentV3(o.catalogue, groupVersions(o.catalogue)[path]) }, func(text []byte) (proto.Message, error) { return openapiv3.ParseDocument(text) })
}

func (o *openAPI) serveV2(w http.ResponseWriter, r *http.Request) {
	o.serve(w, r, protoV2, "", func() ([]byte, error) { return documentV2(o.catalogue) }, func(text []byte) (proto.Message, error) { return openapiv2.ParseDocument(text) })
}

// serve answers with a document as JSON or, parsed, as protobuf.
func (o *openAPI) serve(w http.ResponseWriter, r *http.Request, binary, tag string, text func() ([]byte, error), parse func([]byte) (proto.Message, error)) {
	media := accepts(r, mediaJSON, binary)
	if media == "" {
		serveStatus(w, failure(http.StatusNotAcceptable, metav1.StatusReasonNotAcceptable, "only the following media types are accepted: "+mediaJSON+", "+binary))
		return
	}
	if media == mediaJSON {
		parse = nil
	}
	data, own, err := o.build(text, parse)
	if err != nil {
		serveStatus(w, apierrors.NewInternalError(err))
		return
	}
	serveDocument(w, r, media, data, cmp.Or(tag, own))
}

// build makes a document and the hash of its JSON. What it leaves behind goes back to the system when nobody has asked for a while: kubectl asks for several at once.
func (o *openAPI) build(text func() ([]byte, error), parse func([]byte) (proto.Message, error)) (data []byte, tag string, err error) {
	o.building.Lock()
	defer o.building.Unlock()
	if o.release == nil {
		o.release = time.AfterFunc(quiet, debug.FreeOSMemory)
	}
	defer o.release.Reset(quiet)
	if data, err = text(); err != nil {
		return nil, "", err
	}
	tag = hash(data)
	if parse != nil {
		m, err := parse(data)
		if err != nil {
			return nil, "", err
		}
		data, err = proto.Marshal(m)
		return data, tag, err
	}
	return data, tag, nil
}

func (o *openAPI) sum() (map[string]string, error) {
	all := map[string]string{}
	for path, gv := range groupVersions(o.catalogue) {
		var err error
		if _, all[path], err = o.build(func() ([]byte, error) { return documentV3(o.catalogue, gv) }, nil); err != nil {
			return nil, err
		}
	}
	return all, nil
}
