package rest

import (
	"runtime"
	"testing"

	"optimist/internal/api"
)

func BenchmarkOpenAPI(b *testing.B) {
	routes := OpenAPI(api.Builtin)
	for _, path := range []string{"/openapi/v3", "/openapi/v3/api/v1", "/openapi/v3/apis/apps/v1", "/openapi/v2"} {
		for _, media := range []string{mediaJSON, protoV2, protoV3} {
			b.Run(path+" "+media[len(media)-8:], func(b *testing.B) {
				t := &testing.T{}
				n := ask(t, routes, path, "Accept", media).Body.Len()
				var m runtime.MemStats
				b.ReportAllocs()
				for b.Loop() {
					ask(t, routes, path, "Accept", media)
				}
				runtime.ReadMemStats(&m)
				b.ReportMetric(float64(n), "bytes")
				b.ReportMetric(float64(m.HeapSys-m.HeapReleased)/1e6, "MB-heap")
			})
		}
	}
}
