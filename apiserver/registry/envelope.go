package registry

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"optimist/apiserver/store"
	"optimist/internal/api"
)

// envelope is what surrounds an object in the store:
//
//	format byte │ seconds (varint) │ length, storage version │ length, encryption key id │ the object's protobuf
//
// The object is stored without its resourceVersion, which is the store's Mod revision of the key.
type envelope struct {
	written time.Time // when, to the second: TTLs count from here
	version string    // of the stored form: "v1"
	keyID   string    // of the encryption key; "" = not encrypted
	payload []byte
}

const formatProtobuf = 1

func (e envelope) bytes() []byte {
	b := make([]byte, 0, len(e.payload)+len(e.version)+len(e.keyID)+16)
	b = append(b, formatProtobuf)
	b = binary.AppendVarint(b, e.written.Unix())
	for _, s := range []string{e.version, e.keyID} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return append(b, e.payload...)
}

var errEnvelope = errors.New("the stored value is damaged: its envelope ends too early")

func openEnvelope(b []byte) (envelope, error) {
	if len(b) == 0 {
		return envelope{}, errEnvelope
	}
	if b[0] != formatProtobuf {
		return envelope{}, fmt.Errorf("the stored value has format %d, which this version does not know", b[0])
	}
	seconds, n := binary.Varint(b[1:])
	if n <= 0 {
		return envelope{}, errEnvelope
	}
	e := envelope{written: time.Unix(seconds, 0)}
	rest := b[1+n:]
	for _, s := range []*string{&e.version, &e.keyID} {
		size, n := binary.Uvarint(rest)
		if n <= 0 || size > uint64(len(rest)-n) {
			return envelope{}, errEnvelope
		}
		*s, rest = string(rest[n:n+int(size)]), rest[n+int(size):]
	}
	e.payload = rest
	return e, nil
}

// encode returns an object's stored form without the envelope.
func (k *resource) encode(o api.Object) ([]byte, error) {
	revision := o.GetResourceVersion()
	o.SetResourceVersion("")
	defer o.SetResourceVersion(revision)
	return api.Marshal(o)
}

// seal makes a value to be stored under a key.
func (k *resource) seal(key string, payload []byte) []byte {
	e := envelope{written: time.Now(), version: k.kept.Versions[0].Name, payload: payload}
	if k.sealed {
		e.keyID, e.payload = k.cipher.Seal(key, payload)
	}
	return e.bytes()
}

// unseal opens a value that is stored under a key: its payload is what seal was given.
func (k *resource) unseal(key string, value []byte) (envelope, error) {
	e, err := openEnvelope(value)
	switch {
	case err != nil || e.keyID == "":
	case k.cipher == nil:
		err = fmt.Errorf("it is encrypted with key %q, and this server has no keys", e.keyID)
	default:
		e.payload, err = k.cipher.Open(e.keyID, key, e.payload)
	}
	return e, err
}

// decode opens a stored value that was written at a revision.
func (k *resource) decode(key string, value []byte, mod store.Revision) (api.Object, error) {
	e, err := k.unseal(key, value)
	if err != nil {
		return nil, err
	}
	o, err := api.Unmarshal(k.kept, e.version, e.payload)
	if err != nil {
		return nil, err
	}
	o.SetResourceVersion(api.Revision(mod).String())
	return o, nil
}

// open decodes an entry; a damaged one gives an internal error that names the key.
func (k *resource) open(e store.Entry) (api.Object, error) {
	o, err := k.decode(e.Key, e.Value, e.Mod)
	if err != nil {
		return nil, internalError(fmt.Errorf("%s: %w", e.Key, err))
	}
	return o, nil
}

// raw is an entry's object in protobuf. Fields of a message that come again later are merged, so its resourceVersion (metadata is field 1 of every
// kind, and that is field 6 of it) stands behind what is stored.
func (k *resource) raw(e store.Entry) ([]byte, error) {
	stored, err := k.unseal(e.Key, e.Value)
	if err != nil {
		return nil, internalError(fmt.Errorf("%s: %w", e.Key, err))
	}
	revision := api.Revision(e.Mod).String()
	b := make([]byte, 0, len(stored.payload)+len(revision)+4)
	return append(append(append(b, stored.payload...), 1<<3|2, byte(len(revision)+2), 6<<3|2, byte(len(revision))), revision...), nil
}
