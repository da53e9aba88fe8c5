package main

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/clerk/clerk-sdk-go/v2/organizationmembership"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
	"encore.app/internal/standalone"
	"encore.app/test/bench/guide"
)

// settings are what a backend is started with.
type settings struct {
	secretKey, apiURL string
	share             float64 // of Clerk's limit; 0 is the default
	transport         http.RoundTripper
	observer          clerkauth.Observer
	now               func() time.Time
}

// backend is one of the two that are compared.
type backend struct {
	name      string
	remembers bool          // users whom it has seen
	patience  time.Duration // how long a crowd goes on asking
	handler   func(settings) (http.Handler, error)
}

// ours is the index of this backend.
const ours = 0

var backends = []backend{
	ours: {name: "ours", remembers: true, patience: time.Minute, handler: ourHandler},
	1:    {name: "the guide's", patience: 10 * time.Second, handler: guideHandler},
}

func ourHandler(s settings) (http.Handler, error) {
	options := clerkauth.Options{
		SecretKey:         s.secretKey,
		APIURL:            s.apiURL,
		AuthorizedParties: []string{fakeclerk.DefaultAuthorizedParty},
		RateLimitShare:    s.share,
		Observer:          s.observer,
		Now:               s.now,
	}
	if s.transport != nil {
		options.HTTPClient = &http.Client{Transport: s.transport}
	}
	authenticator, err := clerkauth.New(options)
	if err != nil {
		return nil, err
	}
	handler, err := standalone.Handler(standalone.Options{Authenticator: authenticator})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.Handle("GET /organization/members", listMembers(authenticator))
	return mux, nil
}

// listMembers asks Clerk for members on the connection that sign-ins use, as an
// endpoint of an application may. The app's own list reads its database.
func listMembers(authenticator *clerkauth.Authenticator) http.Handler {
	memberships := &organizationmembership.Client{Backend: authenticator.Backend()}
	return authenticator.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := clerkauth.FromContext(r.Context())
		offset, err := strconv.ParseInt(r.URL.Query().Get("offset"), 10, 64)
		if err == nil {
			params := &organizationmembership.ListParams{OrganizationID: caller.Organization.ID}
			params.Offset = &offset
			_, err = memberships.List(r.Context(), params)
		}
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}), nil)
}

// maxGuideConnections is for the sake of file descriptors. The guide's handler
// makes a call for every request, which Clerk would take on one connection.
const maxGuideConnections = 1000

func guideHandler(s settings) (http.Handler, error) {
	if s.transport == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost, transport.MaxConnsPerHost = maxGuideConnections, maxGuideConnections
		s.transport = transport
	}
	return guide.Handler(guide.Options{
		SecretKey:         s.secretKey,
		APIURL:            s.apiURL,
		AuthorizedParties: []string{fakeclerk.DefaultAuthorizedParty},
		HTTPClient:        &http.Client{Timeout: 5 * time.Second, Transport: s.transport},
	}), nil
}

// instance is a running backend.
type instance struct {
	url    string
	server *http.Server
}

// startInstance serves a backend at a loopback address, and connects the client
// to it.
func startInstance(ctx context.Context, b backend, s settings, c client) (*instance, error) {
	handler, err := b.handler(s)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		Protocols:         new(http.Protocols),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 4096},
	}
	server.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = server.Serve(listener) }() // until stop
	i := &instance{url: "http://" + listener.Addr().String(), server: server}
	if err := c.connect(ctx, i.url); err != nil {
		i.stop()
		return nil, err
	}
	return i, nil
}

// stop lets the requests that are under way end.
func (i *instance) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	_ = i.server.Shutdown(ctx)
	_ = i.server.Close()
}

func (i *instance) always(int) string { return i.url }
