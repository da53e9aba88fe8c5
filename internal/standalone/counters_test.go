package standalone

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"encore.app/auth/clerkauth"
)

func TestOnlyThisMachineReadsTheCounters(t *testing.T) {
	authenticator, err := clerkauth.New(clerkauth.Options{SecretKey: "sk_test_x", AuthorizedParties: []string{"http://localhost:3001"}})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := Handler(Options{Authenticator: authenticator, Counters: new(Counters)})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		remote, host string
		want         int
	}{
		{"127.0.0.1:5000", "127.0.0.1:4000", http.StatusOK},
		{"127.0.0.1:5000", "localhost:4000", http.StatusOK},
		{"127.0.0.1:5000", "localhost", http.StatusOK},
		{"[::1]:5000", "[::1]:4000", http.StatusOK},
		{"[::1]:5000", "[::1]", http.StatusOK},
		{"127.0.0.1:5000", "rebound.example.com:4000", http.StatusNotFound},
		{"127.0.0.1:5000", "localhost.example.com", http.StatusNotFound},
		{"127.0.0.1:5000", "", http.StatusNotFound},
		{"192.0.2.1:5000", "127.0.0.1:4000", http.StatusNotFound},
	} {
		request := httptest.NewRequest(http.MethodGet, "/debug/counters", nil)
		request.RemoteAddr, request.Host = test.remote, test.host
		request.Header.Set("Origin", "https://evil.example.com")
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if recorder.Code != test.want {
			t.Errorf("from %s for %q: %d", test.remote, test.host, recorder.Code)
		}
		if allowed := recorder.Header().Get("Access-Control-Allow-Origin"); allowed != "" {
			t.Errorf("pages of %s may read them", allowed)
		}
	}
}
