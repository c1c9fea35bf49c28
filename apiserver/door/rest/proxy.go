package rest

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"optimist/internal/api"
	"optimist/internal/wire"
)

// proxyVerbs are what a method on what is behind an object means for those who may do it.
var proxyVerbs = map[string]api.Verb{http.MethodGet: api.VerbGet, http.MethodHead: api.VerbGet, http.MethodOptions: api.VerbGet,
	http.MethodPost: api.VerbCreate, http.MethodPut: api.VerbUpdate, http.MethodPatch: api.VerbPatch, http.MethodDelete: api.VerbDelete}

// proxy passes a request on to a port of a pod, Service or node, which sees the path after ".../proxy", and its answer back, be it an upgrade.
// Whoever answers there never sees with what the client showed us who it is.
func (s *Server) proxy(w http.ResponseWriter, r *http.Request, t api.Target) error {
	verb, ok := proxyVerbs[r.Method]
	if !ok {
		return errMethod
	}
	tail, whole := behind(r.URL, t)
	if !whole && verb == api.VerbGet { // so that relative links lead to where they should
		u := url.URL{Path: r.URL.Path + "/", RawQuery: r.URL.RawQuery}
		http.Redirect(w, r, u.String(), http.StatusMovedPermanently)
		return nil
	}
	ctx, cancel := context.WithCancel(api.WithVerb(r.Context(), verb))
	defer cancel()
	far, err := s.Service.Connect(ctx, t, nil)
	if err != nil {
		return err
	}
	conn := wire.NewConn(far, cancel)
	defer conn.Close()
	w.Header().Del("Cache-Control")
	(&httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { rewrite(p, t, tail) },
		Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true,
			DialContext:     func(context.Context, string, string) (net.Conn, error) { return conn, nil },
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, // as in Kubernetes: a pod's certificate has no name that we could check
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if status := apierrors.APIStatus(nil); !errors.As(err, &status) {
				err = apierrors.NewServiceUnavailable("error trying to reach service: " + err.Error())
			}
			s.fail(w, r, err)
		},
	}).ServeHTTP(w, r)
	return nil
}

// rewrite makes of a request to us the one that is passed on.
func rewrite(p *httputil.ProxyRequest, t api.Target, tail string) {
	scheme, name, port, _ := utilnet.SplitSchemeNamePort(t.Key.Name)
	p.SetXForwarded()
	p.Out.URL = &url.URL{Scheme: cmp.Or(scheme, "http"), Host: strings.TrimSuffix(net.JoinHostPort(name, port), ":"), RawPath: tail, RawQuery: p.In.URL.RawQuery}
	p.Out.URL.Path, _ = url.PathUnescape(tail) // as it was parsed before
	p.Out.Host = p.Out.URL.Host
	for header := range p.Out.Header {
		if header == "Authorization" || strings.HasPrefix(header, "Impersonate-") {
			p.Out.Header.Del(header)
		}
	}
}

// behind is the path below an object's proxy as it was sent; whole is false if not even its first slash was there.
func behind(u *url.URL, t api.Target) (tail string, whole bool) {
	words := len(strings.Split("/api/v1/nodes/NAME/proxy/", "/"))
	if t.Kind.Namespaced {
		words += len([]string{"namespaces", "NAMESPACE"})
	}
	all := strings.SplitN(u.EscapedPath(), "/", words)
	if len(all) < words {
		return "/", false
	}
	return "/" + all[words-1], true
}
