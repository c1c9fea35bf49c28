// Command web is the server that examples, labs and tests run in pods: it says who it is, and breaks on request.
//
//	/            hostname, version and path       /healthz   200, or 503 after /sick
//	/env         the environment                  /exit?code=3   end at once with that code
//	/alloc?mb=64 hold that much memory            /slow?ms=500   answer late
//
// On SIGTERM it goes on for as long as $DRAIN says, then finishes what it has begun. The same port answers UDP. `web ask` is a client (ask.go).
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// version is set by the image's build: -ldflags "-X main.version=2".
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == "ask" {
		os.Exit(ask(ctx, os.Args[2:]))
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	server := &http.Server{Addr: ":" + port, Handler: routes()}
	go func() {
		<-ctx.Done()
		fmt.Println("terminating")
		drain, _ := time.ParseDuration(os.Getenv("DRAIN")) // until everybody knows
		time.Sleep(drain)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
	}()
	go echo(":" + port)
	fmt.Printf("web %s listens on port %s\n", version, port)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func routes() http.Handler {
	var sick atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("/", hello)
	mux.HandleFunc("/env", func(w http.ResponseWriter, _ *http.Request) {
		env := os.Environ()
		slices.Sort(env)
		fmt.Fprintln(w, strings.Join(env, "\n"))
	})
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if sick.Load() {
			http.Error(w, "sick", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("/sick", func(http.ResponseWriter, *http.Request) { sick.Store(true) })
	mux.HandleFunc("/exit", func(_ http.ResponseWriter, r *http.Request) { os.Exit(number(r, "code")) })
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Duration(number(r, "ms")) * time.Millisecond)
	})
	mux.HandleFunc("/alloc", alloc)
	return mux
}

func hello(w http.ResponseWriter, r *http.Request) {
	host, _ := os.Hostname()
	fmt.Fprintf(w, "host=%s version=%s path=%s", host, version, r.URL.Path)
	if greeting := os.Getenv("GREETING"); greeting != "" {
		fmt.Fprintf(w, " says %q", greeting)
	}
	fmt.Fprintln(w)
	fmt.Printf("%s %s from %s\n", r.Method, r.URL.Path, r.RemoteAddr)
}

// held keeps what /alloc took.
var held [][]byte

func alloc(w http.ResponseWriter, r *http.Request) {
	block := make([]byte, number(r, "mb")<<20)
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1 // memory counts once it is touched
	}
	held = append(held, block)
	fmt.Fprintln(w, "ok")
}

func number(r *http.Request, name string) int {
	n, _ := strconv.Atoi(r.FormValue(name))
	return n
}
