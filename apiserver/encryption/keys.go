package encryption

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/yaml"

	"optimist/internal/api"
	"optimist/internal/pki"
)

// The parts of a configuration that mean something here; https://kubernetes.io/docs/reference/config-api/apiserver-config.v1/#apiserver-config-k8s-io-v1-EncryptionConfiguration.
type (
	configuration struct {
		APIVersion string      `json:"apiVersion"`
		Kind       string      `json:"kind"`
		Resources  []resources `json:"resources"`
	}
	resources struct {
		Resources []string   `json:"resources"` // plural.group: "secrets"
		Providers []provider `json:"providers"`
	}
	provider struct {
		AESGCM *struct {
			Keys []key `json:"keys"`
		} `json:"aesgcm,omitempty"`
		Identity *struct{} `json:"identity,omitempty"` // plain values can be read; they always can
	}
	key struct {
		Name   string `json:"name"`
		Secret []byte `json:"secret"` // 32 bytes
	}
)

const (
	apiVersion = "apiserver.config.k8s.io/v1"
	kind       = "EncryptionConfiguration"
	madeAt     = "20060102t150405.000000000" // a name of a key that Rotate made
	needed     = 24 * time.Hour              // by history, after a key was replaced: --history is an hour
)

// Keys seals and opens. It may be used by several goroutines.
type Keys struct {
	path string

	mu     sync.RWMutex
	config configuration
	ciphers
}

type ciphers map[string]cipher.AEAD // by the key's name

// Load reads a file of keys, or makes it with a first one for secrets. Errors name the file.
func Load(path string) (*Keys, error) {
	k := &Keys{path: path}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		k.config = configuration{APIVersion: apiVersion, Kind: kind, Resources: []resources{{Resources: []string{"secrets"}, Providers: []provider{{}, {Identity: &struct{}{}}}}}}
		return k, k.Rotate()
	case err != nil:
		return nil, err
	}
	if err = yaml.UnmarshalStrict(data, &k.config); err == nil {
		k.ciphers, err = k.config.ciphers()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; restore it from a backup: without its keys what is encrypted cannot be read", path, err)
	}
	return k, nil
}

// keys is where the list of keys stands: one resources entry, whose first provider has them.
func (c configuration) keys() []key {
	if len(c.Resources) == 0 || len(c.Resources[0].Providers) == 0 || c.Resources[0].Providers[0].AESGCM == nil {
		return nil
	}
	return c.Resources[0].Providers[0].AESGCM.Keys
}

func (c configuration) ciphers() (ciphers, error) {
	if c.APIVersion != apiVersion || c.Kind != kind || len(c.Resources) != 1 || len(c.keys()) == 0 ||
		slices.ContainsFunc(c.Resources[0].Providers[1:], func(p provider) bool { return p.AESGCM != nil }) {
		return nil, fmt.Errorf("want an %s of %s with one entry of resources, whose first provider is aesgcm with its keys, followed by at most identity", kind, apiVersion)
	}
	all := ciphers{}
	for i, k := range c.keys() {
		block, err := aes.NewCipher(k.Secret)
		if err != nil || len(k.Secret) != 32 || k.Name == "" || all[k.Name] != nil {
			return nil, fmt.Errorf("resources[0].providers[0].aesgcm.keys[%d]: want a name of its own, and a secret of 32 bytes in base64", i)
		}
		if all[k.Name], err = cipher.NewGCM(block); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Encrypts reports whether values of a kind are to be sealed. That does not change after Load.
func (k *Keys) Encrypts(kind *api.Kind) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return slices.Contains(k.config.Resources[0].Resources, kind.String())
}

// Active names the key that Seal uses.
func (k *Keys) Active() string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.config.keys()[0].Name
}

// Seal encrypts what is to stand at a place in the store, and names the key.
func (k *Keys) Seal(place string, plain []byte) (name string, sealed []byte) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	name = k.config.keys()[0].Name
	c := k.ciphers[name]
	nonce := make([]byte, c.NonceSize(), c.NonceSize()+len(plain)+c.Overhead())
	_, _ = rand.Read(nonce) // never fails
	return name, c.Seal(nonce, nonce, plain, []byte(place))
}

// Open decrypts what Seal returned.
func (k *Keys) Open(name, place string, sealed []byte) ([]byte, error) {
	k.mu.RLock()
	c := k.ciphers[name]
	k.mu.RUnlock()
	if c == nil {
		return nil, fmt.Errorf("it is encrypted with key %q, which is not in %s", name, k.path)
	}
	if len(sealed) < c.NonceSize() {
		return nil, fmt.Errorf("it is encrypted with key %q, but too short", name)
	}
	plain, err := c.Open(nil, sealed[:c.NonceSize()], sealed[c.NonceSize():], []byte(place))
	if err != nil {
		return nil, fmt.Errorf("it does not open with key %q: it was damaged, or written for another place", name)
	}
	return plain, nil
}

// Rotate makes a new key, with which everything is sealed from now on. What was sealed before still opens.
func (k *Keys) Rotate() error {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	name := strings.Replace(time.Now().UTC().Format(madeAt), ".", "-", 1)
	return k.change(func(old []key) []key { return append([]key{{name, secret}}, old...) })
}

// Retire forgets the keys that were replaced long ago. The caller knows that no present value is sealed with another key than the active one.
func (k *Keys) Retire() error {
	return k.change(func(all []key) []key {
		for i := 1; i < len(all); i++ {
			replaced, err := time.Parse(madeAt, strings.Replace(all[i-1].Name, "-", ".", 1))
			if err == nil && time.Since(replaced) > needed {
				return all[:i]
			}
		}
		return all
	})
}

// change writes the file before it uses what is new.
func (k *Keys) change(edit func([]key) []key) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.config.keys()
	after := edit(slices.Clone(before))
	if len(after) == len(before) {
		return nil
	}
	next := k.config
	next.Resources = []resources{{Resources: k.config.Resources[0].Resources, Providers: slices.Clone(k.config.Resources[0].Providers)}}
	next.Resources[0].Providers[0].AESGCM = &struct {
		Keys []key `json:"keys"`
	}{after}
	all, err := next.ciphers()
	if err != nil {
		return err
	}
	data, err := yaml.Marshal(next)
	if err == nil {
		err = pki.WriteSynced(k.path, data)
	}
	if err != nil {
		return fmt.Errorf("write the keys that encrypt secrets: %w", err)
	}
	k.config, k.ciphers = next, all
	return nil
}
