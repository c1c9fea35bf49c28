package hub

import (
	"context"
	"net/url"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
)

type numbered int

func (numbered) Connect(context.Context, api.Target, url.Values) (api.Stream, error) { return nil, nil }

func TestTheNewestThatIsLeftAnswers(t *testing.T) {
	h := &Hub{}
	var gone []func()
	for i := range most + 2 {
		gone = append(gone, h.Register("system:scheduler", numbered(i)))
	}
	dial := func() api.Connector {
		c, err := h.Dial(t.Context(), "system:scheduler")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for i := most + 1; i >= 2; i-- { // the two oldest were forgotten
		if c := dial(); c != numbered(i) {
			t.Errorf("got %v, want %d", c, i)
		}
		gone[i]()
		gone[i]() // again: no harm
	}
	if _, err := h.Dial(t.Context(), "system:scheduler"); !apierrors.IsServiceUnavailable(err) {
		t.Errorf("with nobody left: %v", err)
	}
	gone[0]()
}

func TestTheAbsentAreNamed(t *testing.T) {
	for component, says := range map[string]string{
		"system:node:n7":   `agent of node "n7" is not connected`,
		"system:scheduler": "scheduler is not connected",
	} {
		if _, err := new(Hub).Dial(t.Context(), component); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", component, err)
		}
	}
}
