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
	note string // what there is to say of it
	stop func()
}

// startPage serves the page of web/. The default address may be in use, by a
// frontend of one's own: that is no reason to fail.
func startPage(s settings, standIn *fakeclerk.Server) (*frontend, error) {
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
		if standIn != nil {
			return page.ForStandIn(standIn, "http://"+s.api)
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
