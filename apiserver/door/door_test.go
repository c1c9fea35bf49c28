package door

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
)

// A token that one door overlooks would make its bearer nobody in particular.
func TestBearer(t *testing.T) {
	for header, want := range map[string]string{"Bearer x.y": "x.y", "bearer x": "x", " BEARER   x ": "x", "Bearer": "", "Bearer ": "", "Bearerx": "", "Basic x": "", "": ""} {
		if got := Bearer(header); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}

func TestACertificateWithoutANameIsNobodys(t *testing.T) {
	for name, want := range map[string]bool{"alice": true, "": false} {
		cert := &x509.Certificate{Subject: pkix.Name{CommonName: name, Organization: []string{"system:masters"}}}
		if u, known := User(tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}); known != want {
			t.Errorf("%q: %+v, %v", name, u, known)
		}
	}
}
