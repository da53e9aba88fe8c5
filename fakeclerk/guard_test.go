package fakeclerk_test

import (
	"net/http"
	"strings"
	"testing"

	"encore.app/fakeclerk"
)

// fromPage is a request as a browser sends it for a page.
func fromPage(t *testing.T, s *fakeclerk.Server, route string, header map[string]string) answer {
	t.Helper()
	r := request(t, s, route, "{}")
	r.Header.Del("Authorization")
	for name, value := range header {
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Set(name, value)
	}
	a, err := send(r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestOnlyLoopbackHostsAreAnswered(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	port := s.URL()[strings.LastIndex(s.URL(), ":"):]
	for host, want := range map[string]int{
		"127.0.0.1" + port: 200, "127.8.9.1:1": 200, "localhost" + port: 200, "LOCALHOST": 200, "[::1]" + port: 200, "[::1]": 200,
		"evil.example" + port: 403, "evil.example": 403, "localhost.evil.example" + port: 403, "127.0.0.1.evil.example": 403,
		"192.0.2.1" + port: 403, "0.0.0.0" + port: 403, "[::]" + port: 403, "127.1" + port: 403,
	} {
		for _, route := range []string{"GET /token?email=ada@example.com", "GET /v1/environment", "GET /fakeclerk/requests"} {
			if a := fromPage(t, s, route, map[string]string{"Host": host}); a.status != want {
				t.Errorf("%s by %s: %d, want %d", route, host, a.status, want)
			}
		}
	}
}

func TestPagesDoNotControlTheServer(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	for name, header := range map[string]map[string]string{
		"a page elsewhere":                   {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
		"a plain form of it":                 {"Origin": "https://evil.example", "Content-Type": "text/plain"},
		"a sandboxed page":                   {"Origin": "null"},
		"an image of it":                     {"Sec-Fetch-Site": "cross-site"},
		"another port of the same host":      {"Sec-Fetch-Site": "same-site"},
		"the page of the application itself": {"Origin": fakeclerk.DefaultAuthorizedParty, "Sec-Fetch-Site": "same-site"},
	} {
		for _, route := range []string{"POST /fakeclerk/keys/rotate", "POST /fakeclerk/sessions/sess_1/end", "GET /fakeclerk/requests", "DELETE /fakeclerk/faults"} {
			a := fromPage(t, s, route, header)
			if a.status != http.StatusForbidden || a.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s by %s: %d %v", route, name, a.status, a.header)
			}
		}
	}
	for name, header := range map[string]map[string]string{
		"no page": {}, "an address that somebody typed": {"Sec-Fetch-Site": "none"},
		"a page of this server": {"Origin": s.URL(), "Sec-Fetch-Site": "same-origin"},
	} {
		if a := fromPage(t, s, "GET /fakeclerk/requests", header); a.status != http.StatusOK {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	if s.Requests("POST /fakeclerk/keys/rotate") != 0 {
		t.Error("a page rotated the key")
	}
}

func TestOnlyThePageReadsTokensAndTickets(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	want := func(name string, header map[string]string, status int, allowed string) {
		t.Helper()
		for _, route := range []string{"GET /token?email=ada@example.com", "GET /ticket?email=ada@example.com"} {
			a := fromPage(t, s, route, header)
			if a.status != status || a.header.Get("Access-Control-Allow-Origin") != allowed {
				t.Errorf("%s by %s: %d %v", route, name, a.status, a.header)
			}
		}
	}
	page := "http://localhost:3001"
	want("the page", map[string]string{"Origin": page, "Sec-Fetch-Site": "cross-site"}, 200, page)
	want("nobody's page", nil, 200, "")
	want("a page elsewhere", map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 403, "")
	want("another server here", map[string]string{"Origin": "http://localhost:3002", "Sec-Fetch-Site": "same-site"}, 403, "")
	want("a page that hides its origin", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403, "")

	s.SetPageOrigins("http://localhost:3002")
	want("the page at its new place", map[string]string{"Origin": "http://localhost:3002"}, 200, "http://localhost:3002")
	want("the old one", map[string]string{"Origin": page}, 403, "")
}
