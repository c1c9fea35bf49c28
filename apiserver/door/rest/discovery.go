package rest

import (
	"bytes"
	"cmp"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"mime"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	discoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"

	"optimist/internal/api"
)

// KubernetesVersion is whose API this is. Clients compare versions: what follows the plus does not count.
const KubernetesVersion = "v1.37.2+optimist"

const mediaDiscovery = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

// Discovery returns the handlers that tell which kinds there are (/api, /apis and below) and which version this is (/version), for Config.Routes.
func Discovery(c *api.Catalogue) map[string]http.Handler {
	return map[string]http.Handler{"/api": discovery{c}, "/apis": discovery{c}, "/version": http.HandlerFunc(serveVersion)}
}

func serveVersion(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.TrimPrefix(KubernetesVersion, "v"), ".")
	info := version.Info{Major: parts[0], Minor: parts[1], GitVersion: KubernetesVersion, GitTreeState: "clean", GoVersion: runtime.Version(), Compiler: runtime.Compiler,
		Platform: runtime.GOOS + "/" + runtime.GOARCH, BuildDate: "1970-01-01T00:00:00Z"}
	info.EmulationMajor, info.EmulationMinor, info.MinCompatibilityMajor, info.MinCompatibilityMinor = info.Major, info.Minor, info.Major, info.Minor
	serveJSON(w, r, mediaJSON, info)
}

// discovery answers by the catalogue as it stands.
type discovery struct{ catalogue *api.Catalogue }

func (d discovery) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	root, path, _ := strings.Cut(strings.Trim(r.URL.Path, "/"), "/")
	core := root == "api"
	groups := slices.DeleteFunc(d.groups(), func(g discoveryv2.APIGroupDiscovery) bool { return (g.Name == "") != core })
	group, version, deep := strings.Cut(path, "/")
	if core {
		group, version, deep = "", path, path != ""
	}
	i := slices.IndexFunc(groups, func(g discoveryv2.APIGroupDiscovery) bool { return g.Name == group })
	switch {
	case path == "" && accepts(r, mediaJSON, mediaDiscovery) == mediaDiscovery:
		serveJSON(w, r, mediaDiscovery, discoveryv2.APIGroupDiscoveryList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupDiscoveryList", APIVersion: "apidiscovery.k8s.io/v2"}, Items: groups})
	case path == "" && core:
		serveJSON(w, r, mediaJSON, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{groups[0].Versions[0].Version},
			ServerAddressByClientCIDRs: []metav1.ServerAddressByClientCIDR{{ClientCIDR: "0.0.0.0/0", ServerAddress: r.Host}}})
	case path == "":
		list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
		for _, g := range groups {
			list.Groups = append(list.Groups, legacyGroup(g))
		}
		serveJSON(w, r, mediaJSON, list)
	case i >= 0 && !deep:
		g := legacyGroup(groups[i])
		g.TypeMeta = metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}
		serveJSON(w, r, mediaJSON, g)
	default:
		for _, v := range groups[max(i, 0)].Versions {
			if i >= 0 && v.Version == version {
				serveJSON(w, r, mediaJSON, legacyResources(group, v))
				return
			}
		}
		serveStatus(w, errNoSuchPath)
	}
}

// groups is everything there is, in catalogue order.
func (d discovery) groups() (all []discoveryv2.APIGroupDiscovery) {
	for _, k := range d.catalogue.All() {
		if len(k.Can()) == 0 {
			continue
		}
		i := slices.IndexFunc(all, func(g discoveryv2.APIGroupDiscovery) bool { return g.Name == k.Group })
		if i < 0 {
			i, all = len(all), append(all, discoveryv2.APIGroupDiscovery{ObjectMeta: metav1.ObjectMeta{Name: k.Group}})
		}
		for _, v := range k.Versions {
			j := slices.IndexFunc(all[i].Versions, func(have discoveryv2.APIVersionDiscovery) bool { return have.Version == v.Name })
			if j < 0 {
				j, all[i].Versions = len(all[i].Versions), append(all[i].Versions, discoveryv2.APIVersionDiscovery{Version: v.Name, Freshness: discoveryv2.DiscoveryFreshnessCurrent})
			}
			all[i].Versions[j].Resources = append(all[i].Versions[j].Resources, resource(k, v.Name))
		}
	}
	for _, g := range all {
		for _, v := range g.Versions {
			slices.SortFunc(v.Resources, func(a, b discoveryv2.APIResourceDiscovery) int { return cmp.Compare(a.Resource, b.Resource) })
		}
	}
	return all
}

func resource(k *api.Kind, version string) discoveryv2.APIResourceDiscovery {
	r := discoveryv2.APIResourceDiscovery{Resource: k.Plural, SingularResource: k.Singular, ResponseKind: &metav1.GroupVersionKind{Kind: k.Name}, Scope: discoveryv2.ScopeCluster,
		ShortNames: k.Short, Categories: k.Categories, Verbs: words(k.Can())}
	if k.Namespaced {
		r.Scope = discoveryv2.ScopeNamespace
	}
	for _, sub := range slices.Sorted(slices.Values(k.Subs)) {
		if can := api.SubVerbs[sub]; len(can) > 0 {
			body := metav1.GroupVersionKind(subBody(k, version, sub))
			if body.Group == k.Group && body.Version == version { // as everywhere: said only where it differs
				body.Group, body.Version = "", ""
			}
			r.Subresources = append(r.Subresources, discoveryv2.APISubresourceDiscovery{Subresource: sub, ResponseKind: &body, Verbs: words(can)})
		}
	}
	return r
}

// subBody is the kind of a subresource's body.
func subBody(k *api.Kind, version, sub string) schema.GroupVersionKind {
	switch body, other := api.SubBody[sub]; {
	case sub == "proxy":
		return k.GVK(version).GroupVersion().WithKind(k.Name + "ProxyOptions")
	case other:
		return body
	}
	return k.GVK(version)
}

// words are verbs as Kubernetes writes them.
func words(verbs []api.Verb) (words []string) {
	for _, v := range verbs {
		words = append(words, string(v))
	}
	slices.Sort(words)
	return words
}

func legacyGroup(g discoveryv2.APIGroupDiscovery) metav1.APIGroup {
	out := metav1.APIGroup{Name: g.Name}
	for _, v := range g.Versions {
		out.Versions = append(out.Versions, metav1.GroupVersionForDiscovery{GroupVersion: g.Name + "/" + v.Version, Version: v.Version})
	}
	out.PreferredVersion = out.Versions[0]
	return out
}

func legacyResources(group string, v discoveryv2.APIVersionDiscovery) metav1.APIResourceList {
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: schema.GroupVersion{Group: group, Version: v.Version}.String()}
	for _, r := range v.Resources {
		one := metav1.APIResource{Name: r.Resource, SingularName: r.SingularResource, Namespaced: r.Scope == discoveryv2.ScopeNamespace, Kind: r.ResponseKind.Kind,
			ShortNames: r.ShortNames, Categories: r.Categories, Verbs: r.Verbs}
		list.APIResources = append(list.APIResources, one)
		for _, s := range r.Subresources {
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: r.Resource + "/" + s.Subresource, Namespaced: one.Namespaced,
				Group: s.ResponseKind.Group, Version: s.ResponseKind.Version, Kind: s.ResponseKind.Kind, Verbs: s.Verbs})
		}
	}
	return list
}

// accepts chooses among what is offered what the client likes best; the first if he does not say, "" if he wants none of it. An offer's parameters must be
// asked for; others do not matter, unless they ask for another form (as).
func accepts(r *http.Request, offers ...string) string {
	asked := strings.ReplaceAll(strings.Join(r.Header.Values("Accept"), ","), "@v1.0+protobuf", ".v1.0+protobuf") // the old name of OpenAPI's types: no media type at all
	for _, c := range accepted(asked) {
		for _, offer := range offers {
			have, want, _ := mime.ParseMediaType(offer)
			fits := c.takes(have) && c.params["as"] == want["as"]
			for key := range want {
				fits = fits && c.params[key] == want[key]
			}
			if fits {
				return offer
			}
		}
	}
	return ""
}

// serveJSON answers with a document.
func serveJSON(w http.ResponseWriter, r *http.Request, media string, document any) {
	data, err := json.Marshal(document)
	if err != nil {
		panic(err) // the door answers 500
	}
	serveDocument(w, r, media, data, hash(data))
}

// serveDocument answers with bytes, or with 304 to a client that has them.
func serveDocument(w http.ResponseWriter, r *http.Request, media string, data []byte, tag string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		serveStatus(w, errMethod)
		return
	}
	w.Header().Set("Content-Type", media)
	w.Header().Add("Vary", "Accept")
	w.Header().Set("ETag", strconv.Quote(tag))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

func hash(data []byte) string {
	sum := sha512.Sum512(data)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// serveStatus answers with an error.
func serveStatus(w http.ResponseWriter, err error) {
	st := status(err)
	w.Header().Set("Content-Type", mediaJSON)
	w.WriteHeader(int(st.Code))
	_ = json.NewEncoder(w).Encode(st) // who does not read it has left
}
