package main

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"encore.app/fakeclerk"
	"encore.app/internal/page"
)

// frontend is the page that signs in and calls the backend.
type frontend struct {
	note string // what describe prints
	stop func()
}

// startPage serves the page of web/. It is not an error if the default address
// is in use: a frontend of the developer's may listen there.
func startPage(s settings, fakeClerk *fakeclerk.Server) (*frontend, error) {
	nothing := &frontend{stop: func() {}}
	root, outside := appRoot()
	if s.page == "" || s.backend == "none" || outside != nil {
		return nothing, nil
	}
	listener, err := net.Listen("tcp", s.page)
	if err != nil && !s.given["page"] {
		nothing.note = fmt.Sprintf("not served: %v; -page localhost:3002 serves it at another address", err)
		return nothing, nil
	}
	if err != nil {
		return nil, cannotListen("-page", s.page, err)
	}
	config := func() page.Config {
		if fakeClerk != nil {
			return page.ForFakeClerk(fakeClerk, "http://"+s.apiAddress())
		}
		return page.Config{
			PublishableKey: cmp.Or(os.Getenv("VITE_CLERK_PUBLISHABLE_KEY"), os.Getenv("CLERK_PUBLISHABLE_KEY")),
			APIURL:         "http://" + s.apiAddress(),
		}
	}
	folder := filepath.Join(root, "web", "dist")
	handler := atOneOrigin(s.pageOrigin(), page.Handler(folder, config))
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // ends with stop
	f := &frontend{note: s.pageOrigin(), stop: func() { _ = server.Close() }}
	switch {
	case !page.Built(folder):
		f.note += "  (not built yet; with Node: " + page.Build + ")"
	case page.Outdated(folder):
		f.note += "  (older than web/src: " + page.Build + ")"
	}
	return f, nil
}

// atOneOrigin redirects from the other names of this machine, such as 127.0.0.1
// for localhost: tokens are accepted from the one origin.
func atOneOrigin(origin string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if "http://"+r.Host != origin && !beyondLoopback(r.Host) {
			http.Redirect(w, r, origin+"/"+strings.TrimLeft(r.URL.RequestURI(), "/"), http.StatusTemporaryRedirect)
			return
		}
		next.ServeHTTP(w, r)
	})
}
