//go:build docs

// Package export has the raw endpoint that docs/live.md shows.
package export

import (
	"net/http"

	"encore.app/auth"
	"encore.app/auth/authz"
	"encore.app/auth/clerkauth"
)

//encore:api public raw method=GET path=/export
func Export(w http.ResponseWriter, req *http.Request) {
	caller := auth.Raw(w, req, authz.Raw{Requires: []clerkauth.Requirement{clerkauth.Role("org:admin")}})
	if caller == nil {
		return // it is answered
	}
	// …
}
