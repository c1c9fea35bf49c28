package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// TokenKeys are the keys of ServiceAccounts' tokens: that of dir/sa.key, which is made when it is missing, signs them; that of sa.old.key, if there is
// one, still verifies what it has signed. To rotate: mv sa.key sa.old.key, and start the API server anew.
func TokenKeys(dir string) ([]*ecdsa.PrivateKey, error) {
	path := filepath.Join(dir, "sa.key")
	newest, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		newest, err = makeKey(path)
	}
	if err != nil {
		return nil, err
	}
	old, err := readKey(filepath.Join(dir, "sa.old.key"))
	if errors.Is(err, fs.ErrNotExist) {
		return []*ecdsa.PrivateKey{newest}, nil
	}
	return []*ecdsa.PrivateKey{newest, old}, err
}

func makeKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	data, err := encodeKey(key)
	if err == nil {
		err = WriteFile(path, data)
	}
	return key, errors.Join(err, syncFolder(filepath.Dir(path)))
}

func readKey(path string) (*ecdsa.PrivateKey, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(data); block != nil && block.Type == "EC PRIVATE KEY" {
		if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil && key.Curve == elliptic.P256() {
			return key, nil
		}
	}
	return nil, fmt.Errorf("%s is no ECDSA key on P-256 (PEM, EC PRIVATE KEY): restore it, or remove it, and all tokens of ServiceAccounts are void", path)
}
