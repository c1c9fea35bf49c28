package rest

import (
	"cmp"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The encodings, in the order in which they are offered to who accepts anything.
const (
	mediaJSON  = "application/json"
	mediaYAML  = "application/yaml"
	mediaProto = "application/vnd.kubernetes.protobuf"
)

var medias = []string{mediaJSON, mediaYAML, mediaProto}

// The shapes into which an answer can be transformed, all of group meta.k8s.io.
const (
	asTable        = "Table"
	asMetadata     = "PartialObjectMetadata"
	asMetadataList = "PartialObjectMetadataList"
)

// format is how a client wants its answer.
type format struct {
	media    string
	as       string                     // "" = as it is
	version  string                     // of the group meta.k8s.io, of as
	include  metav1.IncludeObjectPolicy // of a Table: what stands beside each row
	headless bool                       // of a Table: without its columns
}

// negotiate finds the first format of an Accept header, by quality, that can be had. Streams are not offered as YAML.
func negotiate(accept string, stream bool) (format, error) {
	for _, c := range accepted(accept) {
		for _, media := range medias {
			if f, ok := transform(media, c.params); ok && c.takes(media) && !(stream && media == mediaYAML) {
				return f, nil
			}
		}
	}
	offered := strings.Join(medias, ", ")
	if stream {
		offered = mediaJSON + ";stream=watch, " + mediaProto + ";stream=watch"
	}
	return format{}, failure(http.StatusNotAcceptable, metav1.StatusReasonNotAcceptable, "only the following media types are accepted: "+offered)
}

// clause is one media type, or several, of an Accept header.
type clause struct {
	media   string
	params  map[string]string
	quality float64
}

func (c clause) takes(media string) bool {
	return c.media == media || c.media == "application/*" || c.media == "*/*"
}

// accepted are the clauses of an Accept header that can be read, the best first; without a header everything will do.
func accepted(header string) (all []clause) {
	for part := range strings.SplitSeq(cmp.Or(header, "*/*"), ",") {
		media, params, err := mime.ParseMediaType(part)
		q, none := strconv.ParseFloat(params["q"], 64)
		if none != nil {
			q = 1
		}
		if err == nil && q > 0 {
			all = append(all, clause{media, params, q})
		}
	}
	slices.SortStableFunc(all, func(a, b clause) int { return cmp.Compare(b.quality, a.quality) })
	return all
}

// transform reads the parameters of a media type; false if it cannot be had like this.
func transform(media string, params map[string]string) (format, bool) {
	f := format{media: media, as: params["as"], version: params["v"]}
	if s := params["stream"]; s != "" && s != "watch" {
		return f, false
	}
	if f.as == "" && params["g"] == "" && f.version == "" {
		return f, true
	}
	known := params["g"] == metav1.GroupName && (f.version == "v1" || f.version == "v1beta1")
	return f, known && (f.as == asTable && media != mediaProto || f.as == asMetadata || f.as == asMetadataList)
}

// bodyMedia is a body's encoding, of those that are taken; "" means the first.
func bodyMedia(header string, taken ...string) (string, error) {
	if header == "" {
		return taken[0], nil
	}
	media, _, err := mime.ParseMediaType(header)
	if err != nil || !slices.Contains(taken, media) {
		return "", failure(http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType,
			"the body of the request was in an unknown format - accepted media types include: "+strings.Join(taken, ", "))
	}
	return media, nil
}
