package door

import "testing"

// A token that one door overlooks would make its bearer nobody in particular.
func TestBearer(t *testing.T) {
	for header, want := range map[string]string{"Bearer x.y": "x.y", "bearer x": "x", " BEARER   x ": "x", "Bearer": "", "Bearer ": "", "Bearerx": "", "Basic x": "", "": ""} {
		if got := Bearer(header); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}
