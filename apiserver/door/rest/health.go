package rest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

const checkTime = 5 * time.Second // for all checks of a request together

// Check is something without which the server is not well. Alive is for what only a restart cures: /livez asks for nothing else.
type Check struct {
	Name  string
	Alive bool
	Do    func(context.Context) error
}

// Health returns the handlers of /livez, /readyz and /healthz (the same as /readyz), and of each check below them, for Config.Routes. Kubernetes' queries verbose and exclude work;
// why a check fails is said in the log and to those who ask for that check alone: the sum is public.
func Health(log *slog.Logger, checks ...Check) map[string]http.Handler {
	all := append([]Check{{"ping", true, func(context.Context) error { return nil }}}, checks...)
	alive := slices.DeleteFunc(slices.Clone(all), func(c Check) bool { return !c.Alive })
	return map[string]http.Handler{"/healthz": health{"healthz", all, log}, "/readyz": health{"readyz", all, log}, "/livez": health{"livez", alive, log}}
}

type health struct {
	name   string
	checks []Check
	log    *slog.Logger
}

func (h health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), checkTime)
	defer cancel()
	if one := strings.Trim(strings.TrimPrefix(r.URL.Path, "/"+h.name), "/"); one == "" {
		h.sum(ctx, w, r)
	} else if i := slices.IndexFunc(h.checks, func(c Check) bool { return c.Name == one }); i < 0 {
		serveStatus(w, errNoSuchPath)
	} else if err := h.checks[i].Do(ctx); err != nil {
		http.Error(w, fmt.Sprintf("internal server error: %v", err), http.StatusInternalServerError)
	} else {
		text(w, "ok")
	}
}

// sum makes all checks that are not excluded.
func (h health) sum(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	query, said, failed := r.URL.Query(), &strings.Builder{}, false
	excluded := query["exclude"]
	for _, c := range h.checks {
		if slices.Contains(excluded, c.Name) {
			excluded = slices.DeleteFunc(excluded, func(name string) bool { return name == c.Name })
			fmt.Fprintf(said, "[+]%s excluded: ok\n", c.Name)
		} else if err := c.Do(ctx); err != nil {
			failed = true
			fmt.Fprintf(said, "[-]%s failed: reason withheld\n", c.Name)
			h.log.Warn("a health check fails", "path", h.name, "check", c.Name, "err", err)
		} else {
			fmt.Fprintf(said, "[+]%s ok\n", c.Name)
		}
	}
	if len(excluded) > 0 {
		fmt.Fprintf(said, "warn: some health checks cannot be excluded: no matches for %q\n", excluded)
	}
	switch {
	case failed:
		http.Error(w, said.String()+h.name+" check failed", http.StatusInternalServerError)
	case query.Has("verbose"):
		text(w, said.String()+h.name+" check passed\n")
	default:
		text(w, "ok")
	}
}

func text(w http.ResponseWriter, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write([]byte(s)) // who does not read it has left
}
