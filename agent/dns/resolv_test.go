package dns

import (
	"os"
	"path/filepath"
	"testing"
)

func TestResolver(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"as most are", "# made by dhcp\nnameserver 192.0.2.53\nsearch example.com corp.example.com\noptions ndots:2 rotate\n",
			"nameserver 192.0.2.53\nsearch example.com corp.example.com\noptions ndots:2 rotate\n"},
		{"the last search counts", "search a\nsearch b c\n", "search b c\n"},
		{"systemd-resolved's empty search", "nameserver 127.0.0.53\nsearch .\noptions edns0 trust-ad\n", "options edns0 trust-ad\n"},
		{"no loopback", "nameserver 127.0.0.1\nnameserver ::1\nnameserver 2001:db8::53\n", "nameserver 2001:db8::53\n"},
		{"nonsense", "\n \nnameserver\nnameserver here\n;search x\nsearch\noptions", ""},
	} {
		if got := parse(row.text).String(); got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
}

func TestStubGivesWayToWhatItAsks(t *testing.T) {
	dir := t.TempDir()
	stub, own := filepath.Join(dir, "stub"), filepath.Join(dir, "own")
	for path, text := range map[string]string{stub: "nameserver 127.0.0.53\n", own: "nameserver 192.0.2.53\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := readFirst(stub, own).Upstreams(); len(got) != 1 || got[0] != "192.0.2.53:53" {
		t.Errorf("%v", got)
	}
	if got := readFirst(filepath.Join(dir, "none"), stub).Upstreams(); len(got) != 0 {
		t.Errorf("a stub is asked: %v", got)
	}
	if got := ReadResolver(own).Upstreams(); len(got) != 1 {
		t.Errorf("the file that was named: %v", got)
	}
}
