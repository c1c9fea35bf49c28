package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"
)

// What we have signed we believe, and nothing else.
func TestASignatureIsBelieved(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := keysOf([]*ecdsa.PrivateKey{private})
	for range 300 { // r or s begins with a zero byte in some
		token, err := keys[0].sign(claims{Subject: "robot"})
		if err != nil {
			t.Fatal(err)
		}
		if c, err := verify(keys, token); err != nil || c.Subject != "robot" {
			t.Fatal(token, err)
		}
		parts := strings.Split(token, ".")
		if _, err := verify(keys, parts[0]+"."+encodePart(claims{Subject: "king"})+"."+parts[2]); err == nil {
			t.Fatal("a token with other claims is believed")
		}
	}
}
