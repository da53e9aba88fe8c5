package fakeclerk

import (
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Options configures a [Server]. The zero value works.
type Options struct {
	// Addr is the loopback address to listen on. Default "127.0.0.1:0": a free
	// port.
	Addr string
	// SigningKey signs the first tokens. Default: a fresh 2048-bit key.
	SigningKey *rsa.PrivateKey
	// KeyID is the id (kid) of SigningKey. Clerk uses the instance id. Default
	// "ins_fakeclerk".
	KeyID string
	// Issuer is the iss claim: Clerk's Frontend API URL. Default
	// "https://fakeclerk.clerk.accounts.dev".
	Issuer string
	// SecretKey is the key of the Backend API. Default "sk_test_fakeclerk".
	SecretKey string
	// TokenLifetime is the time from a token's iat to its exp, in whole seconds.
	// Default 60 s, as Clerk's.
	TokenLifetime time.Duration
	// PageOrigins are the origins of the pages that may read GET /token and GET
	// /ticket. Default: port 3001 of localhost and 127.0.0.1.
	PageOrigins []string
	// RateLimit bounds the calls of the Backend API. Default: no limit.
	RateLimit RateLimit
	// Latency delays every answer of the Backend API. Default: none.
	Latency time.Duration
	// HideInvalidTokens answers the verification of a revoked or expired machine
	// token with 404. Clerk's specification has fields for both in the answer
	// with 200, its SDK documentation says that verifying fails. Default: 200.
	HideInvalidTokens bool
	// Now is the clock of tokens, timestamps and the rate limit. Default
	// [time.Now].
	Now func() time.Time
	// WebhookURL is where events are sent, such as
	// "http://127.0.0.1:4000/webhooks/clerk". Default: nowhere.
	WebhookURL string
	// WebhookSigningSecret signs events: "whsec_" and base64. Default: one that
	// everybody knows.
	WebhookSigningSecret string
	// WebhookRetries are the waits before each further attempt to deliver an
	// event. Default: Svix's, from 5 seconds to 10 hours.
	WebhookRetries []time.Duration
	// Logger receives one line a request: method, route, status and duration,
	// never a token, a key or an email address. Default: no log.
	Logger *slog.Logger
}

// withDefaults returns the options with every unset field filled in.
func (o Options) withDefaults() Options {
	o.Addr = cmp.Or(o.Addr, "127.0.0.1:0")
	o.KeyID = cmp.Or(o.KeyID, "ins_fakeclerk")
	o.Issuer = cmp.Or(o.Issuer, "https://"+frontendHost)
	o.SecretKey = cmp.Or(o.SecretKey, "sk_test_fakeclerk")
	o.TokenLifetime = cmp.Or(o.TokenLifetime, time.Minute)
	o.WebhookSigningSecret = cmp.Or(o.WebhookSigningSecret, defaultWebhookSigningSecret)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.PageOrigins == nil {
		o.PageOrigins = []string{DefaultAuthorizedParty, "http://127.0.0.1:3001"}
	}
	if o.WebhookRetries == nil {
		o.WebhookRetries = svixRetries
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.SigningKey == nil {
		o.SigningKey = newSigningKey()
	}
	return o
}

// Server is a running fake Clerk. Its methods may be called from several
// goroutines.
type Server struct {
	options  Options
	url      string
	listener listener
	mux      *http.ServeMux
	routes   map[string]*route // by pattern
	webhooks webhookSender

	mu sync.Mutex // guards state, and the counts and faults of routes
	state
}

// state is everything that a server remembers. Slices and maps inside its values
// are replaced and never changed, so that a copy of a value stays as it is.
type state struct {
	keys          keyring
	users         table[string, User]
	idByEmail     map[string]string // user ids by address in lower case
	sessions      table[string, Session]
	organizations table[string, Organization]
	memberships   table[memberKey, Membership]
	machines      []Machine
	machineTokens table[string, MachineToken]

	clients map[string]*browserClient // by dev browser
	tickets map[string]string         // user ids by sign-in ticket

	pageOrigins []string
	clockOffset time.Duration // of token times
	latency     time.Duration
	rateLimiter rateLimiter
	fault       *activeFault            // of every Backend API route
	userFaults  map[string]*activeFault // by user id

	webhookURL   string
	webhooksHeld bool
	messages     []*WebhookMessage
}

// Start listens on a loopback address and serves until [Server.Close]. An
// address that is not loopback is an error: the tokens are real, and nothing
// keeps anybody from asking for one.
func Start(options Options) (*Server, error) {
	options = options.withDefaults()
	addr, err := loopback(options.Addr)
	if err != nil {
		return nil, fmt.Errorf("start fakeclerk: %w", err)
	}
	s := &Server{options: options, state: state{
		idByEmail:   make(map[string]string),
		clients:     make(map[string]*browserClient),
		tickets:     make(map[string]string),
		userFaults:  make(map[string]*activeFault),
		pageOrigins: options.PageOrigins,
		latency:     options.Latency,
	}}
	s.SetRateLimit(options.RateLimit)
	s.keys.add(options.KeyID, options.SigningKey)
	s.seed()
	s.webhookURL = options.WebhookURL // from now on: the first accounts are not news
	s.registerRoutes()

	if err := s.webhooks.open(options.WebhookSigningSecret); err != nil {
		return nil, fmt.Errorf("start fakeclerk: %w", err)
	}
	if err := s.listener.open(addr, s.guard(s.mux), options.Logger); err != nil {
		s.closeWebhooks()
		return nil, fmt.Errorf("start fakeclerk: %w", err)
	}
	s.url = "http://" + s.listener.addr.String()
	return s, nil
}

// URL is where the server listens, such as "http://127.0.0.1:41234". The Backend
// API is at URL()+"/v1".
func (s *Server) URL() string { return s.url }

// SecretKey is the key of the Backend API (Clerk's CLERK_SECRET_KEY).
func (s *Server) SecretKey() string { return s.options.SecretKey }

// Issuer is the iss claim of every token.
func (s *Server) Issuer() string { return s.options.Issuer }

// Close stops listening, ends every connection, hung requests included, gives up
// the webhooks that are not delivered, and waits for all goroutines.
func (s *Server) Close() error {
	s.closeWebhooks()
	return s.listener.close()
}

// SetClockOffset makes the server's clock wrong: iat, nbf and exp of the tokens
// signed from now on are shifted by offset.
func (s *Server) SetClockOffset(offset time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clockOffset = offset
}

// SetPageOrigins replaces [Options].PageOrigins.
func (s *Server) SetPageOrigins(origins ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pageOrigins = slices.Clone(origins)
}

func (s *Server) now() time.Time { return s.options.Now() }

// locked calls change while mu is held.
func locked[T any](s *Server, change func() (T, error)) (T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return change()
}

// newID returns an id as Clerk's, such as "sess_…".
func newID(prefix string) string { return prefix + "_" + rand.Text() }

// seed adds the accounts that every server starts with.
func (s *Server) seed() {
	for _, user := range []User{
		{
			ID: "user_ada", FirstName: "Ada", LastName: "Lovelace",
			// The primary address is the second one: code that takes the first is wrong.
			EmailAddresses: []EmailAddress{
				{ID: "idn_ada_work", EmailAddress: "ada.lovelace@example.org"},
				{ID: "idn_ada", EmailAddress: "ada@example.com"},
			},
			PrimaryEmailAddressID: "idn_ada",
		},
		{
			ID: "user_grace", FirstName: "Grace", LastName: "Hopper",
			EmailAddresses: []EmailAddress{{ID: "idn_grace", EmailAddress: "grace@example.com"}},
		},
		{ID: "user_noemail", Username: "noemail"},
		{
			ID: "user_banned", Banned: true,
			EmailAddresses: []EmailAddress{{ID: "idn_banned", EmailAddress: "banned@example.com"}},
		},
	} {
		if _, err := s.addUser(user); err != nil {
			panic("fakeclerk: seed: " + err.Error())
		}
	}
	_, err := s.addOrganization(Organization{ID: "org_analytical", Name: "Analytical", CreatedBy: "user_ada"})
	if err == nil {
		_, err = s.addMembership("org_analytical", "user_grace", RoleMember)
	}
	if err != nil {
		panic("fakeclerk: seed: " + err.Error())
	}
	s.machines = []Machine{
		{ID: "mch_inventory", SecretKey: "ak_fakeclerk_inventory"},
		{ID: "mch_reports", SecretKey: "ak_fakeclerk_reports", Scopes: []string{"mch_inventory"}},
	}
}
