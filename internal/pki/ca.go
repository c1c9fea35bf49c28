package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	caLife   = 10 * 365 * 24 * time.Hour
	certLife = 365 * 24 * time.Hour // if nobody says otherwise
	backdate = 5 * time.Minute      // for clocks that are behind ours
)

// CA signs certificates.
type CA struct {
	Cert *x509.Certificate
	PEM  []byte // Cert as a file holds it
	key  *ecdsa.PrivateKey
}

// Subject is who a certificate speaks for.
type Subject struct {
	Name   string // the user
	Groups []string
}

// EnsureCA loads dir/ca.crt and ca.key, or makes them when neither exists. A key alone, without anything that was signed by it, is what a
// first start that was broken off has left: it is made anew.
func EnsureCA(dir string) (*CA, error) {
	crt, key := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")
	_, noCrt := os.Stat(crt)
	_, noKey := os.Stat(key)
	signed, _ := filepath.Glob(filepath.Join(dir, "*.kubeconfig"))
	if errors.Is(noCrt, fs.ErrNotExist) && (errors.Is(noKey, fs.ErrNotExist) || len(signed) == 0) {
		return makeCA(dir, crt, key)
	}
	pair, err := LoadPair(crt, key)
	if err != nil {
		return nil, fmt.Errorf("%w; without its CA a cluster cannot be trusted: restore both files from a backup, or remove them and every kubeconfig beside them to begin a new trust", err)
	}
	signer, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("%s is not the certificate of a CA with an ECDSA key", crt)
	}
	return &CA{Cert: pair.Leaf, PEM: EncodeCert(pair.Leaf.Raw), key: signer}, nil
}

func makeCA(dir, crt, key string) (*CA, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	t := template(pkix.Name{CommonName: "optimist-ca"}, caLife)
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
	certPEM, keyPEM, err := new(CA).sign(t)
	if err == nil {
		err = writePair(crt, key, certPEM, keyPEM)
	}
	if err != nil {
		return nil, err
	}
	return EnsureCA(dir)
}

// Issue signs a certificate that serves as client and, when hosts (names and addresses) are given, as server.
func (ca *CA) Issue(s Subject, hosts []string, life time.Duration) (certPEM, keyPEM []byte, err error) {
	t := template(pkix.Name{CommonName: s.Name, Organization: s.Groups}, life)
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(hosts) > 0 {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	return ca.sign(t)
}

// Sign answers a request with a client certificate for its user, its groups and its key; what else stands in it is left out.
func (ca *CA) Sign(req *x509.CertificateRequest, life time.Duration) (certPEM []byte, err error) {
	t := template(pkix.Name{CommonName: req.Subject.CommonName, Organization: req.Subject.Organization}, life)
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, t, ca.Cert, req.PublicKey, ca.key)
	return EncodeCert(der), err
}

// Hash is how people name a CA, in the form that kubeadm made common: that of its public key.
func Hash(cert *x509.Certificate) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256(cert.RawSubjectPublicKeyInfo))
}

// ParseCert reads the first certificate of a PEM file.
func ParseCert(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("no PEM certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}

// sign makes a key and its certificate; a CA that has no certificate yet signs its own.
func (ca *CA) sign(t *x509.Certificate) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	parent, signer := ca.Cert, ca.key
	if parent == nil {
		parent, signer = t, key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, nil, fmt.Errorf("sign a certificate for %s: %w", t.Subject.CommonName, err)
	}
	keyPEM, err = encodeKey(key)
	return EncodeCert(der), keyPEM, err
}

func template(subject pkix.Name, life time.Duration) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126)) // crypto/rand's Reader never fails
	now := time.Now()
	return &x509.Certificate{SerialNumber: serial, Subject: subject, NotBefore: now.Add(-backdate), NotAfter: now.Add(life)}
}

// ServerTLS is the API server's side of TLS: its certificate from dir, and clients' certificates checked against the CA. A client without one
// gets in; the doors decide what it may do. When the certificate's file changes, those who come from then on see the new one.
func ServerTLS(dir string) (*tls.Config, error) {
	ca, err := EnsureCA(dir)
	if err != nil {
		return nil, err
	}
	crt := filepath.Join(dir, "apiserver.crt")
	own := Fresh{Path: crt, Load: func() (tls.Certificate, error) {
		pair, err := LoadPair(crt, filepath.Join(dir, "apiserver.key"))
		pair.Certificate = append(pair.Certificate, ca.Cert.Raw) // who joins knows only the CA's hash
		return pair, err
	}}
	if _, err := own.Pair(); err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.Cert)
	return &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own.Pair() },
		ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven, MinVersion: tls.VersionTLS12}, nil
}

// Fresh is a certificate that is read again when its file has changed, so that one can be renewed while it is in use.
type Fresh struct {
	Path string // "" = it does not change
	Load func() (tls.Certificate, error)

	mu   sync.Mutex
	pair *tls.Certificate
	when time.Time // the file's time of change when pair was read
}

// Pair is the newest that could be read; an error only if none ever could.
func (f *Fresh) Pair() (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var when time.Time
	if info, err := os.Stat(f.Path); err == nil {
		when = info.ModTime()
	}
	if f.pair != nil && when.Equal(f.when) {
		return f.pair, nil
	}
	switch pair, err := f.Load(); {
	case err == nil:
		f.pair, f.when = &pair, when
	case f.pair == nil:
		return nil, err
	}
	return f.pair, nil
}

// LoadPair reads a certificate and its key; errors name the file.
func LoadPair(crt, key string) (tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(crt, key)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return pair, err // names the file already
	}
	if err != nil {
		return pair, fmt.Errorf("%s and %s do not hold a certificate and its key: %w", crt, key, err)
	}
	return pair, nil
}

// EncodeCert is a certificate as a file holds it.
func EncodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	secret, err := x509.MarshalECPrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}), err
}

// writePair syncs the folder after each: a certificate that survives a loss of power has its key, and what it signs has it.
func writePair(crt, key string, certPEM, keyPEM []byte) error {
	err := WriteSynced(key, keyPEM)
	if err == nil {
		err = WriteSynced(crt, certPEM)
	}
	return err
}

// WriteSynced is WriteFile, and has the new file survive a loss of power.
func WriteSynced(path string, data []byte) error {
	if err := WriteFile(path, data); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes sure that a loss of power leaves the files of a folder their names.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EINVAL) {
		return nil // not ours to sync, or of a file system that has nothing to sync
	}
	return err
}

// WriteFile replaces a file as a whole, readable by its owner only: whoever reads it meanwhile, or after a loss of power, sees the old one or the
// new one.
func WriteFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, werr := f.Write(data)
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}
