package apiserver

import (
	"cmp"
	"context"
	_ "embed" // services.yaml
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"optimist/internal/api"
	"optimist/internal/port"
	"optimist/internal/wake"
)

// mendInterval is how soon what every cluster has is there again after somebody deleted or changed it: as in Kubernetes.
const mendInterval = 10 * time.Second

// keepServices makes, and mends until ctx ends, the Services by which pods find the API server and DNS. Their addresses are the ledger's business.
func (s *Server) keepServices(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.mendServices(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("the Services that every cluster has could not be written, will retry", "err", err)
		}
		_ = wake.After(ctx, mendInterval, nil)
	}
	return nil
}

func (s *Server) mendServices(ctx context.Context) error {
	if !s.Ranges.ServiceCIDR.IsValid() {
		return nil
	}
	address, number := "", "6443"
	if s.Advertise.IsValid() {
		address, number = s.Advertise.Addr().String(), fmt.Sprint(s.Advertise.Port())
	}
	fill := strings.NewReplacer("$ADDRESS", address, "$PORT", number, "$CLUSTER", s.Cluster, "$JOIN", s.JoinAt,
		"$PODS", s.Ranges.ClusterCIDR.String(), "$SERVICES", s.Ranges.ServiceCIDR.String())
	var faults []error
	for part := range strings.SplitSeq(ownObjects, "\n---\n") {
		if address == "" && strings.Contains(part, "$ADDRESS") || s.Cluster == "" && strings.Contains(part, "$CLUSTER") {
			continue
		}
		data, err := yaml.YAMLToJSON([]byte(fill.Replace(part)))
		var named metav1.PartialObjectMetadata
		if err = errors.Join(err, json.Unmarshal(data, &named)); err != nil {
			return err
		}
		r := api.Request{Target: api.Target{Kind: api.Builtin.Kind(named.GroupVersionKind().GroupKind()), Key: api.KeyOf(&named)},
			Verb: api.VerbPatch, Patch: &api.Patch{Type: types.MergePatchType, Data: data}}
		_, err = s.Service(own).Write(ctx, r) // one that changes nothing is not written
		if apierrors.IsNotFound(err) {
			r.Verb, r.Patch, r.Raw = api.VerbCreate, nil, &api.Raw{MediaType: "application/json", Data: data}
			_, err = s.Service(own).Write(ctx, r)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s %s: %w", r.Kind, r.Key, err))
		}
	}
	return errors.Join(faults...)
}

// ownObjects are the Services, the ConfigMap by which machines join, if the cluster has a name, and, when the API server's address is known, where it is.
// (Not a text/template: that has the linker keep every method there is, 5 MB of them.)
//
//go:embed services.yaml
var ownObjects string

// advertised is where pods and nodes reach this server: what the flag says, else the first address that we listen at and others may reach, else
// the one with which this machine would send to the world. Not valid when there is none.
func advertised(flag string, listeners []net.Listener) (netip.AddrPort, error) {
	var number uint16
	for _, l := range listeners {
		at, err := netip.ParseAddrPort(l.Addr().String())
		if a := at.Addr().Unmap(); err == nil && flag == "" && a.Is4() && a.IsGlobalUnicast() {
			return netip.AddrPortFrom(a, at.Port()), nil
		} else if number == 0 {
			number = at.Port()
		}
	}
	if flag = cmp.Or(flag, port.Outward()); flag == "" {
		return netip.AddrPort{}, nil
	}
	a, err := netip.ParseAddr(flag)
	if err != nil || !a.Is4() || !a.IsGlobalUnicast() {
		return netip.AddrPort{}, fmt.Errorf("--advertise-address %q is no IPv4 address that pods could reach; name one of this machine's other than loopback", flag)
	}
	return netip.AddrPortFrom(a, number), nil
}
