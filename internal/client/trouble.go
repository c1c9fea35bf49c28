package client

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
	"optimist/internal/pki"
	"optimist/internal/wire"
)

// trouble says what is wrong with a connection in words that a person can act on.
type trouble struct {
	server, source string
	own            *pki.Fresh // nil: a token stands for it
}

// explain is wire.DecodeError, but for failures of the connection itself.
func (t trouble) explain(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) { // a watch does not end by itself
		return apierrors.NewServiceUnavailable("the API server at " + t.server + " ended the stream")
	}
	if !wire.IsTransport(err) {
		return wire.DecodeError(err)
	}
	return apierrors.NewServiceUnavailable(t.words(status.Convert(err).Message()))
}

// explainWrite marks a write as ambiguous when it may have left before the connection broke.
func (t trouble) explainWrite(err error, sent bool) error {
	if sent && wire.IsTransport(err) {
		return api.OutcomeUnknown(fmt.Sprintf("the connection to the API server at %s broke during a write; it may have happened: %s",
			t.server, status.Convert(err).Message()))
	}
	return t.explain(err)
}

const wrongName = "the API server's certificate is not made out to this address: use one of its addresses, or start it with this one too (ctl stop, then ctl start --san NAME)"

// faults are what TLS says when certificates do not do, and what to do about it.
var faults = []struct{ says, means string }{
	{"certificate has expired", "the API server's certificate has expired (or this machine's clock is wrong): restart the cluster to renew it (ctl stop, ctl start)"},
	{"signed by unknown authority", "the API server's certificate is from another cluster's authority: this kubeconfig belongs to another cluster, or the cluster was made anew; use the kubeconfig that `ctl up` wrote"},
	{"certificate is not valid for any names", wrongName},
	{"certificate is valid for", wrongName},
	{"unknown certificate authority", "the API server does not know the authority of our certificate: this kubeconfig belongs to another cluster"},
	{"tls: bad certificate", "the API server does not accept our certificate: this kubeconfig belongs to another cluster"},
	{"no application protocol", "what listens there is no Optimist API server"},
	{"first record does not look like a TLS handshake", "what listens there does not speak TLS: it is no Optimist API server"},
}

// grpcWords is what gRPC puts before the error that matters.
var grpcWords = regexp.MustCompile(`^.*desc = "transport: (?:Error while dialing: |authentication handshake failed: )?|"$`)

func (t trouble) words(said string) string {
	where := "cannot reach the API server at " + t.server + ": "
	if t.own != nil {
		if pair, err := t.own.Pair(); err == nil && time.Now().After(pair.Leaf.NotAfter) {
			return where + fmt.Sprintf("%sthe certificate of %q expired on %s: renew it where the cluster is (ctl certs renew)",
				Config{Source: t.source}.from(), pair.Leaf.Subject.CommonName, pair.Leaf.NotAfter.Format(time.DateTime))
		}
	}
	said = grpcWords.ReplaceAllString(said, "")
	for _, f := range faults {
		if strings.Contains(said, f.says) {
			return where + f.means + " [" + said + "]"
		}
	}
	if after, broke := strings.CutPrefix(said, "error reading from server: "); broke || said == io.EOF.Error() {
		return "the connection to the API server at " + t.server + " broke: " + after
	}
	return where + said + ": is the cluster running? (ctl start)"
}
