package auth

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// claims are what a ServiceAccount's token says, as in Kubernetes. Times are Unix seconds.
type claims struct {
	Audiences  []string `json:"aud"`
	Expires    int64    `json:"exp"`
	Issued     int64    `json:"iat"`
	Issuer     string   `json:"iss"`
	ID         string   `json:"jti"`
	Kubernetes bound    `json:"kubernetes.io"`
	NotBefore  int64    `json:"nbf"`
	Subject    string   `json:"sub"`
}

// bound are the objects that a token lives and dies with.
type bound struct {
	Namespace string     `json:"namespace"`
	Node      *reference `json:"node,omitempty"`
	Pod       *reference `json:"pod,omitempty"`
	Secret    *reference `json:"secret,omitempty"`
	Account   reference  `json:"serviceaccount"`
	WarnAfter int64      `json:"warnafter,omitempty"`
}

type reference struct {
	Name string    `json:"name"`
	UID  types.UID `json:"uid"`
}

// key is a private key and how tokens name it: by the hash of its public half.
type key struct {
	*ecdsa.PrivateKey
	id string
}

func keysOf(keys []*ecdsa.PrivateKey) (all []key) {
	for _, k := range keys {
		der, _ := x509.MarshalPKIXPublicKey(&k.PublicKey) // a P-256 key can always be encoded
		sum := sha256.Sum256(der)
		all = append(all, key{k, base64.RawURLEncoding.EncodeToString(sum[:])})
	}
	return all
}

type header struct {
	Algorithm string `json:"alg"`
	Key       string `json:"kid"`
}

const es256 = "ES256"

// sign makes the token (RFC 7515, compact) of some claims.
func (k key) sign(c claims) (string, error) {
	text := encodePart(header{es256, k.id}) + "." + encodePart(c)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, k.PrivateKey, sum[:])
	if err != nil {
		return "", err
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// errForged: the token was not signed with any key of ours.
var errForged = errors.New("the token is no ServiceAccount's of this cluster")

// verify returns the claims of a token that one of the keys has signed; whether they are true still, it does not ask.
func verify(keys []key, token string) (c claims, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, errForged
	}
	var h header
	err = decodePart(parts[0], &h)
	sig, bad := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	i := slices.IndexFunc(keys, func(k key) bool { return k.id == h.Key })
	if err != nil || bad != nil || len(sig) != 64 || i < 0 || h.Algorithm != es256 {
		return c, errForged
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if !ecdsa.Verify(&keys[i].PublicKey, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) || decodePart(parts[1], &c) != nil {
		return claims{}, errForged
	}
	return c, nil
}

func encodePart(v any) string {
	data, _ := json.Marshal(v) // structs of text and numbers
	return base64.RawURLEncoding.EncodeToString(data)
}

func decodePart(part string, into any) error {
	data, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	return err
}
