package fakeclerk

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// guard decides which web pages reach the server: it listens on loopback, and so
// does every page that the developer has open, whatever site it is from. A Host
// that is not loopback is a site whose name was made to point here (DNS
// rebinding), to which the browser would hand every answer.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopbackHost(r.Host) {
			writeError(w, errForbidden("fakeclerk answers only to a loopback host."))
			return
		}
		for _, prefix := range []string{"/api_keys", "/m2m_tokens", "/oauth_applications/"} {
			if strings.HasPrefix(r.URL.Path, prefix) { // without /v1: Clerk's JavaScript SDK
				r = r.Clone(r.Context())
				r.URL.Path = "/v1" + r.URL.Path
			}
		}
		switch origin := r.Header.Get("Origin"); surfaceOf(r.URL.Path) {
		case frontendAPI:
			// Every origin, as Clerk's development instances: which one a token was
			// given to stands in its azp claim, for the backend to refuse.
			if r = allowOrigin(w, r, origin); r == nil {
				return
			}
		case tokens:
			if s.isPageOrigin(origin) {
				if r = allowOrigin(w, r, origin); r == nil {
					return
				}
			} else if crossSite(r) {
				writeError(w, errForbidden("Only the page of this application may read tokens."))
				return
			}
		case control:
			if crossSite(r) {
				writeError(w, errForbidden("Web pages may not control fakeclerk."))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// surfaceOf says which part of the server a path belongs to.
func surfaceOf(path string) surface {
	switch {
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

// allowOrigin lets a page read the answer. It returns nil where it answered: the
// question whether a page may ask. Since browsers put that question first for
// other methods than GET and POST, Clerk's JavaScript names the method in the
// query.
func allowOrigin(w http.ResponseWriter, r *http.Request, origin string) *http.Request {
	w.Header().Set("Cache-Control", "no-store")
	if origin != "" {
		w.Header().Add("Vary", "Origin")
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Access-Control-Allow-Credentials", "true")
	}
	if r.Method == http.MethodOptions {
		w.Header().Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
		w.Header().Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if method := r.URL.Query().Get("_method"); r.Method == http.MethodPost && method != "" {
		r = r.Clone(r.Context())
		r.Method = method
	}
	return r
}
