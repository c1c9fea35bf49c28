package apiserver

import (
	"context"
	"fmt"
	"maps"
	"net/http"

	"optimist/apiserver/door/rest"
	"optimist/internal/api"
)

// routes are what the door for HTTP serves beside objects: what there is, and how the server is.
func (s *Server) routes() map[string]http.Handler {
	routes := rest.Health(s.Log, rest.Check{Name: "store", Alive: true, Do: func(ctx context.Context) error { _, err := s.Store.Get(ctx, "/", 0); return err }},
		rest.Check{Name: "caches", Do: func(context.Context) error {
			if _, empty := s.registry.Held(); len(empty) > 0 {
				return fmt.Errorf("not filled yet: %v", empty)
			}
			return nil
		}})
	maps.Copy(routes, rest.Discovery(api.Builtin))
	maps.Copy(routes, rest.OpenAPI(api.Builtin))
	maps.Copy(routes, s.service.Issuer())
	return routes
}

// objects is how many there are, by resource.
func (s *Server) objects() map[string]int {
	count, _ := s.registry.Held()
	return count
}
