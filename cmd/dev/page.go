package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"encore.app/internal/fakeclerk"
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
	if errors.Is(err, syscall.EADDRINUSE) {
		if s.pageChosen {
			return nil, taken("-page", s.page)
		}
		nothing.note = "not served: " + s.page + " is in use"
		return nothing, nil
	}
	if err != nil {
		return nil, fmt.Errorf("-page: %w", err)
	}
	config := func() page.Config {
		if fakeClerk != nil {
			return page.ForFakeClerk(fakeClerk, "http://"+s.api)
		}
		return page.Config{
			PublishableKey: cmp.Or(os.Getenv("VITE_CLERK_PUBLISHABLE_KEY"), os.Getenv("CLERK_PUBLISHABLE_KEY")),
			APIURL:         "http://" + s.api,
		}
	}
	folder := filepath.Join(root, "web", "dist")
	server := &http.Server{Handler: page.Handler(folder, config), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // ends with stop
	f := &frontend{note: "http://" + s.page, stop: func() { _ = server.Close() }}
	if !page.Built(folder) {
		f.note += "  (not built yet: " + page.Build + ")"
	}
	return f, nil
}
