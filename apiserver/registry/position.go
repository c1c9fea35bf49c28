package registry

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/apiserver/store"
	"optimist/internal/api"
)

// position is where the next page of a list begins, and the revision that all its pages tell of.
type position struct {
	Revision api.Revision `json:"rv"` // 0: whatever is newest by then
	Key      string       `json:"k"`
}

// token is the position as the opaque text that clients send back.
func (p position) token() string {
	b, _ := json.Marshal(p) // a number and a string can always be marshalled
	return base64.RawURLEncoding.EncodeToString(b)
}

// start finds where a list begins.
func (k *resource) start(pick picked, o api.ListOptions) (position, error) {
	if o.Limit < 0 {
		return position{}, apierrors.NewBadRequest("limit must not be negative")
	}
	if o.Continue == "" {
		return position{Revision: o.At}, nil
	}
	var t position
	b, err := base64.RawURLEncoding.DecodeString(o.Continue)
	if err == nil {
		err = json.Unmarshal(b, &t)
	}
	if err != nil || t.Revision < 0 || !strings.HasPrefix(t.Key, k.listPrefix(pick.namespace)) {
		return position{}, apierrors.NewBadRequest("continue key is not valid: it must be what the list before has returned, for the same kind and namespace")
	}
	if o.At != 0 && o.At != t.Revision {
		return position{}, apierrors.NewBadRequest("specifying resource version is not allowed when using continue")
	}
	return t, nil
}

// listError words a store's error. Who has paged too slowly gets a token with which the list goes on at the newest revision, if it can
// live with that.
func listError(err error, from position) error {
	if from.Key == "" || !errors.Is(err, store.ErrCompacted) {
		return storeError(err)
	}
	expired := apierrors.NewResourceExpired("The provided continue parameter is too old to display a consistent list result. You can start a new list without " +
		"the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token " +
		"results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.")
	expired.ErrStatus.ListMeta.Continue = position{Key: from.Key}.token()
	return expired
}
