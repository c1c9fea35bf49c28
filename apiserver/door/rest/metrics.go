package rest

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"optimist/internal/api"
)

// buckets are the upper bounds of the histogram of durations, in seconds: Kubernetes' own, which dashboards ask for.
var buckets = []float64{0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60}

// metricVerbs are the verbs whose names in metrics are not their methods.
var metricVerbs = map[api.Verb]string{api.VerbList: "LIST", api.VerbDeleteCollection: "DELETECOLLECTION", api.VerbConnect: "CONNECT"}

// metrics counts requests, and tells about them and the process at /metrics in Prometheus' text form, under Kubernetes' names.
type metrics struct {
	objects func() map[string]int // how many there are, by resource ("deployments.apps"); nil = not told

	mu       sync.Mutex
	series   map[string]*counted // by labels; as many as the catalogue has room for, whatever clients ask
	inflight map[string]int      // by request_kind, "" being watches and streams
}

type counted struct {
	codes   map[int]int64
	buckets []int64 // each without those below it
	count   int64
	sum     float64
}

// around counts what next serves.
func (m *metrics) around(next http.Handler, parse func(path string) (t api.Target, objects bool, err error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, _, _ := parse(r.URL.Path) // what is no object has no kind
		labels, kind := labelsOf(r, t)
		c, start := &countedWriter{w, http.StatusOK}, time.Now()
		m.note(func() { m.inflight[kind]++ })
		defer m.note(func() {
			m.inflight[kind]--
			m.count(labels, c.code, time.Since(start).Seconds())
		})
		next.ServeHTTP(c, r)
	})
}

func (m *metrics) note(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

func (m *metrics) count(labels string, code int, seconds float64) {
	s := m.series[labels]
	if s == nil {
		s = &counted{codes: map[int]int64{}, buckets: make([]int64, len(buckets)+1)}
		m.series[labels] = s
	}
	i, _ := slices.BinarySearch(buckets, seconds)
	s.codes[code]++
	s.buckets[i]++
	s.count++
	s.sum += seconds
}

// labelsOf are a request's labels and its request_kind. Where no kind is named, the path is the client's and not told.
func labelsOf(r *http.Request, t api.Target) (labels, kind string) {
	kind, method, scope := "mutating", r.Method, ""
	if method == http.MethodGet || method == http.MethodHead {
		kind = "readOnly"
	} else if !slices.Contains([]string{"POST", "PUT", "PATCH", "DELETE"}, method) {
		method = "other"
	}
	if t.Kind == nil {
		t = api.Target{Kind: &api.Kind{}}
	} else if v, err := verb(r, t); err == nil {
		method = cmp.Or(metricVerbs[v], method)
		if watch, _ := strconv.ParseBool(r.URL.Query().Get("watch")); watch && v == api.VerbList {
			method = "WATCH"
		}
	}
	if method == "WATCH" || method == "CONNECT" {
		kind = ""
	}
	switch {
	case t.Key.Name != "":
		scope = "resource"
	case t.Key.Namespace != "":
		scope = "namespace"
	case t.Kind.Plural != "":
		scope = "cluster"
	}
	return fmt.Sprintf(`component="apiserver",group=%q,resource=%q,scope=%q,subresource=%q,verb=%q,version=%q`, t.Kind.Group, t.Kind.Plural, scope, t.Sub, method, t.Version), kind
}

// ServeHTTP is /metrics.
func (m *metrics) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	out := &bytes.Buffer{}
	m.note(func() { m.requests(out) })
	if m.objects != nil {
		family(out, "apiserver_storage_objects", "gauge", "Stored objects, by kind.")
		count := m.objects()
		for _, resource := range slices.Sorted(maps.Keys(count)) {
			fmt.Fprintf(out, "apiserver_storage_objects{resource=%q} %d\n", resource, count[resource])
		}
	}
	aboutProcess(out)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = out.WriteTo(w) // who does not read it has left
}

func (m *metrics) requests(out io.Writer) {
	all := slices.Sorted(maps.Keys(m.series))
	family(out, "apiserver_request_total", "counter", "Requests over HTTP, by what they asked and the status code.")
	for _, labels := range all {
		for _, code := range slices.Sorted(maps.Keys(m.series[labels].codes)) {
			fmt.Fprintf(out, "apiserver_request_total{code=\"%d\",%s} %d\n", code, labels, m.series[labels].codes[code])
		}
	}
	family(out, "apiserver_request_duration_seconds", "histogram", "How long requests took, watches until they ended.")
	for _, labels := range all {
		s, below := m.series[labels], int64(0)
		for i, bound := range buckets {
			below += s.buckets[i]
			fmt.Fprintf(out, "apiserver_request_duration_seconds_bucket{%s,le=\"%g\"} %d\n", labels, bound, below)
		}
		fmt.Fprintf(out, "apiserver_request_duration_seconds_bucket{%s,le=\"+Inf\"} %d\n", labels, s.count)
		fmt.Fprintf(out, "apiserver_request_duration_seconds_sum{%[1]s} %[2]g\napiserver_request_duration_seconds_count{%[1]s} %[3]d\n", labels, s.sum, s.count)
	}
	family(out, "apiserver_current_inflight_requests", "gauge", "Requests under way, without watches and streams.")
	for _, kind := range []string{"mutating", "readOnly"} {
		fmt.Fprintf(out, "apiserver_current_inflight_requests{request_kind=%q} %d\n", kind, m.inflight[kind])
	}
}

// aboutProcess tells about this process; more of it where there is /proc.
func aboutProcess(out io.Writer) {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	tell := func(name, kind, help string, v float64) {
		family(out, name, kind, help)
		fmt.Fprintf(out, "%s %v\n", name, v)
	}
	tell("go_goroutines", "gauge", "Goroutines.", float64(runtime.NumGoroutine()))
	tell("go_memstats_alloc_bytes", "gauge", "Bytes in use on the heap.", float64(mem.HeapAlloc))
	stat, _ := os.ReadFile("/proc/self/stat")
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // from the third on: proc(5)
	if len(fields) < 22 {
		return
	}
	number := func(i int) float64 { n, _ := strconv.ParseFloat(fields[i-3], 64); return n }
	tell("process_cpu_seconds_total", "counter", "Time on processors.", (number(14)+number(15))/100)
	tell("process_virtual_memory_bytes", "gauge", "Address space.", number(23))
	tell("process_resident_memory_bytes", "gauge", "Memory held.", number(24)*float64(os.Getpagesize()))
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		tell("process_open_fds", "gauge", "Open files.", float64(len(open)))
	}
	if uptime, _ := os.ReadFile("/proc/uptime"); len(uptime) > 0 {
		var up float64
		_, _ = fmt.Sscan(string(uptime), &up) // 0 if not
		tell("process_start_time_seconds", "gauge", "Start, in seconds since 1970.", float64(time.Now().Unix())-up+number(22)/100)
	}
}

func family(out io.Writer, name, kind, help string) {
	fmt.Fprintf(out, "# HELP %[1]s %[3]s\n# TYPE %[1]s %[2]s\n", name, kind, help)
}

// countedWriter sees the status code.
type countedWriter struct {
	http.ResponseWriter
	code int
}

func (w *countedWriter) WriteHeader(code int) {
	w.code = code
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap keeps what else the writer can, for http.ResponseController.
func (w *countedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
