// Package standalone serves the HTTP contract of the Encore app on net/http,
// for machines without the Encore CLI. The development command and the
// end-to-end tests run it; production runs the Encore app.
package standalone

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"encore.dev/beta/errs"

	"encore.app/auth/clerkauth"
)

// Handler serves GET /user/profile as the Encore app does, cross-origin
// requests included, which Encore allows from everywhere on a developer's
// machine. The logger gets one line a request and never a token, key or email
// address; nil turns it off. Options serve more.
func Handler(authenticator *clerkauth.Authenticator, logger *slog.Logger, options ...Option) http.Handler {
	d := &door{authenticator: authenticator, logger: logger, mux: http.NewServeMux()}
	for _, serve := range options {
		serve(d)
	}
	d.mux.HandleFunc("GET /user/profile", d.authenticated(profile))
	d.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, errs.NotFound, "endpoint not found")
	})
	return d
}

type door struct {
	authenticator *clerkauth.Authenticator
	logger        *slog.Logger
	mux           *http.ServeMux
}

// ServeHTTP implements [http.Handler].
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if allowOrigin(w, r) {
		return
	}
	if d.logger == nil {
		d.mux.ServeHTTP(w, r)
		return
	}
	start := time.Now()
	seen := &status{ResponseWriter: w, code: http.StatusOK}
	d.mux.ServeHTTP(seen, r)
	attributes := []slog.Attr{
		slog.String("method", r.Method), slog.String("route", r.Pattern),
		slog.Int("status", seen.code), slog.Duration("took", time.Since(start)),
	}
	if seen.reason != "" {
		attributes = append(attributes, slog.String("reason", string(seen.reason)))
	}
	d.logger.LogAttrs(r.Context(), slog.LevelInfo, "request", attributes...)
}

// authenticated is the part of Encore's gateway that runs the auth handler.
func (d *door) authenticated(endpoint func(http.ResponseWriter, *http.Request, clerkauth.Caller)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, err := clerkauth.BearerToken(r.Header.Get("Authorization"))
		if err == nil {
			var caller clerkauth.Caller
			if caller, err = d.authenticator.Authenticate(r.Context(), token); err == nil {
				endpoint(w, r, caller)
				return
			}
		}
		d.refuse(w, clerkauth.AsError(err))
	}
}

func (d *door) refuse(w http.ResponseWriter, err *clerkauth.Error) {
	if seen, ok := w.(*status); ok {
		seen.reason = err.Reason
	}
	code := errs.Internal
	switch err.Kind {
	case clerkauth.Unauthenticated:
		code = errs.Unauthenticated
	case clerkauth.Unavailable:
		code = errs.Unavailable
	case clerkauth.Canceled:
		code = errs.Canceled
	default:
		if d.logger != nil {
			d.logger.Error("Clerk refuses this backend: set CLERK_SECRET_KEY to the secret key of your Clerk instance", "cause", err.Error())
		}
	}
	writeError(w, code, err.Kind.Message())
}

func profile(w http.ResponseWriter, _ *http.Request, caller clerkauth.Caller) {
	write(w, http.StatusOK, struct {
		UserID string `json:"userId"`
		Email  string `json:"email"`
	}{caller.UserID, caller.Email})
}

// writeError writes an error in Encore's shape.
func writeError(w http.ResponseWriter, code errs.ErrCode, message string) {
	write(w, code.HTTPStatus(), struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Details any    `json:"details"`
	}{code.String(), message, nil})
}

func write(w http.ResponseWriter, code int, body any) {
	encoded, err := json.Marshal(body)
	if err != nil {
		panic(errors.Join(errors.New("standalone: body cannot be encoded"), err))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(encoded) // the client may be gone
}

// allowOrigin answers as Encore does locally: every origin may call. It reports
// whether the request was a preflight, which is then answered.
func allowOrigin(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	header := w.Header()
	header.Add("Vary", "Origin")
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Allow-Credentials", "true")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	header.Set("Access-Control-Allow-Methods", r.Header.Get("Access-Control-Request-Method"))
	header.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
	w.WriteHeader(http.StatusNoContent)
	return true
}

// status notes what was answered, for the log.
type status struct {
	http.ResponseWriter
	code   int
	reason clerkauth.Reason
}

// WriteHeader implements [http.ResponseWriter].
func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}
