package fakeclerk

import (
	"net/http"
	"slices"
	"strings"

	"github.com/rs/cors"
)

// guard decides which web pages reach the server: it listens on loopback, where
// every page that the developer has open, from any site, reaches it.
func (s *Server) guard(next http.Handler) http.Handler {
	// Every origin may use the Frontend API, as Clerk's development instances:
	// which one a token was given to stands in its azp claim, for the backend to
	// refuse.
	anyPage := forPages(func(string) bool { return true }, next)
	ownPages := forPages(s.isPageOrigin, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, prefix := range []string{"/api_keys", "/m2m_tokens", "/oauth_applications/"} {
			if strings.HasPrefix(r.URL.Path, prefix) { // without /v1: Clerk's JavaScript SDK
				r = r.Clone(r.Context())
				r.URL.Path = "/v1" + r.URL.Path
			}
		}
		switch surface := surfaceOf(r.URL.Path); {
		case surface == frontendAPI:
			anyPage.ServeHTTP(w, r)
		case surface == tokens && s.isPageOrigin(r.Header.Get("Origin")):
			ownPages.ServeHTTP(w, r)
		case surface == tokens && crossSite(r):
			errorAnswer(errForbidden("Only the page of this application may read tokens.")).Write(w)
		case surface == control && crossSite(r):
			errorAnswer(errForbidden("Web pages may not control fakeclerk.")).Write(w)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// surfaceOf says which part of the server a path belongs to.
func surfaceOf(path string) surface {
	switch {
	case strings.HasPrefix(path, "/oauth/"), strings.HasPrefix(path, "/.well-known/"):
		return frontendAPI
	case path == "/v1/client", strings.HasPrefix(path, "/v1/client/"), path == "/v1/environment", path == "/v1/dev_browser":
		return frontendAPI
	case path == "/token", path == "/ticket":
		return tokens
	case path == "/v1", strings.HasPrefix(path, "/v1/"):
		return backendAPI // a page has no secret key, and is not told that it may send one
	}
	return control
}

// crossSite reports whether a page of another origin asks. Browsers send
// Sec-Fetch-Site with every request, "none" for an address that somebody typed,
// and older ones at least Origin with a POST.
func crossSite(r *http.Request) bool {
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	return origin != "" && origin != "http://"+r.Host || site != "" && site != "same-origin" && site != "none"
}

func (s *Server) isPageOrigin(origin string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.pageOrigins, origin)
}

// forPages lets the pages of the allowed origins read the answers of next. Since
// browsers ask first whether a page may use other methods than GET and POST,
// Clerk's JavaScript names the method in the query.
func forPages(allowed func(origin string) bool, next http.Handler) http.Handler {
	return cors.New(cors.Options{
		AllowOriginFunc:  allowed,
		AllowCredentials: true,
		AllowedMethods:   []string{"GET", "POST", "PUT", "PATCH", "DELETE"},
		AllowedHeaders:   []string{"*"},
	}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if method := r.URL.Query().Get("_method"); r.Method == http.MethodPost && method != "" {
			r = r.Clone(r.Context())
			r.Method = method
		}
		next.ServeHTTP(w, r)
	}))
}
