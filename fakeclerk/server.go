package fakeclerk

import (
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"encore.app/fakeclerk/fakesvix"
	"encore.app/fakeclerk/faulty"
)

// Options configures a [Server]. The zero value works.
type Options struct {
	// Addr is the loopback address to listen on. Default "127.0.0.1:0": a free
	// port.
	Addr string
	// SigningKey signs the first tokens. Default: a fresh 2048-bit key.
	SigningKey *rsa.PrivateKey
	// InstanceID is the id of this Clerk instance, in GET /v1/instance and in
	// every webhook. Default "ins_fakeclerk".
	InstanceID string
	// KeyID is the id (kid) of SigningKey. Default: InstanceID, as Clerk does.
	KeyID string
	// Issuer is the iss claim: Clerk's Frontend API URL. Default
	// "https://fakeclerk.clerk.accounts.dev".
	Issuer string
	// SecretKey is the key of the Backend API. Default [DefaultSecretKey].
	SecretKey string
	// TokenLifetime is the time from a token's iat to its exp, in whole seconds.
	// Default 60 s, as Clerk's.
	TokenLifetime time.Duration
	// NoOrganizations switches organizations off, as
	// [Server.SetOrganizationsEnabled] does later.
	NoOrganizations bool
	// SessionTokenClaims are added to every session token, as
	// [Server.SetSessionTokenClaims] sets them later.
	SessionTokenClaims map[string]any
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
	o.InstanceID = cmp.Or(o.InstanceID, "ins_fakeclerk")
	o.KeyID = cmp.Or(o.KeyID, o.InstanceID)
	o.Issuer = cmp.Or(o.Issuer, "https://"+frontendHost)
	o.SecretKey = cmp.Or(o.SecretKey, DefaultSecretKey)
	o.TokenLifetime = cmp.Or(o.TokenLifetime, time.Minute)
	o.WebhookSigningSecret = cmp.Or(o.WebhookSigningSecret, defaultWebhookSigningSecret)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.WebhookRetries == nil {
		o.WebhookRetries = fakesvix.Retries
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.SigningKey == nil {
		o.SigningKey = newSigningKey()
	}
	return o
}

// Server is a running fake Clerk, whose Backend API is the API of the
// [faulty.Server] in it. Its methods may be called from several goroutines. The
// caller must not change their results, slices and maps included.
type Server struct {
	*faulty.Server

	options  Options
	webhooks *fakesvix.Sender
	machines []Machine

	// mu guards what follows. Slices and maps inside of rows are replaced and
	// never changed, so that a copy of a row does not change.
	mu            sync.Mutex
	keys          keyring
	users         table[string, User]
	idByEmail     map[string]string // user ids by address in lower case
	sessions      table[string, Session]
	organizations table[string, Organization]
	memberships   table[memberKey, Membership]
	machineTokens table[string, MachineToken]

	clients map[string]*browserClient // by dev browser
	tickets map[string]string         // user ids by sign-in ticket

	pageOrigins []string
	clockOffset time.Duration // of token times

	noOrganizations bool
	sessionClaims   object // a template

	oauthClients       map[string]*oauthClient // by their ids
	oauthGrants        map[string]*oauthGrant  // by authorization code or refresh token
	opaqueAccessTokens bool
}

// Start listens on a loopback address and serves until [Server.Close]. An
// address that is not loopback is an error: the tokens are real, and nothing
// keeps anybody from asking for one.
func Start(options Options) (*Server, error) {
	s, err := newServer(options.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("start fakeclerk: %w", err)
	}
	return s, nil
}

func newServer(options Options) (*Server, error) {
	webhooks, err := fakesvix.New(options.WebhookSigningSecret, options.WebhookRetries, options.Logger)
	if err != nil {
		return nil, err
	}
	s := &Server{
		options:       options,
		webhooks:      webhooks,
		users:         newTable[string, User](ErrUnknownUser),
		idByEmail:     make(map[string]string),
		sessions:      newTable[string, Session](ErrUnknownSession),
		organizations: newTable[string, Organization](ErrUnknownOrganization),
		memberships:   newTable[memberKey, Membership](ErrUnknownMembership),
		machineTokens: newTable[string, MachineToken](ErrUnknownToken),
		clients:       make(map[string]*browserClient),
		tickets:       make(map[string]string),
		oauthClients:  make(map[string]*oauthClient),
		oauthGrants:   make(map[string]*oauthGrant),
		pageOrigins:   []string{DefaultAuthorizedParty, "http://127.0.0.1:3001"},

		noOrganizations: options.NoOrganizations,
	}
	s.keys.add(options.KeyID, options.SigningKey)
	if err := s.seed(); err != nil {
		return nil, err
	}
	if err := s.setSessionClaims(options.SessionTokenClaims); err != nil {
		return nil, err
	}
	webhooks.SetURL(options.WebhookURL) // from now on: the first accounts are not news
	s.Server = faulty.New(faulty.Options{
		Name: "fakeclerk", Log: options.Logger, Guard: s.guard,
		Admit:     func(rt *faulty.Route, r *http.Request) *faulty.Answer { return errorAnswer(s.admit(rt, r)) },
		ErrorBody: func(status int) []byte { return errStatus(status).body() },
	})
	for _, rt := range s.routes() {
		route := &faulty.Route{
			Pattern: rt.pattern,
			Handler: func(r *http.Request) faulty.Answer { return s.answer(rt.handler, r) },
		}
		route.API = surfaceOf(route.Path()) == backendAPI
		s.Handle(route)
	}
	return s, s.Listen(options.Addr)
}

// SecretKey is the key of the Backend API (Clerk's CLERK_SECRET_KEY).
func (s *Server) SecretKey() string { return s.options.SecretKey }

// InstanceID is the id of this Clerk instance.
func (s *Server) InstanceID() string { return s.options.InstanceID }

// Issuer is the iss claim of every token.
func (s *Server) Issuer() string { return s.options.Issuer }

// Environment has the variables, as in [os/exec.Cmd].Env, with which a backend
// asks this server in the place of Clerk. CLERK_JWT_KEY is empty, because a key
// left over from another instance would refuse every token of this server.
func (s *Server) Environment() []string {
	return []string{
		"CLERK_SECRET_KEY=" + s.SecretKey(),
		"CLERK_JWT_KEY=",
		"CLERK_API_URL=" + s.URL(),
		"CLERK_ISSUER=" + s.Issuer(),
		"CLERK_AUTHORIZED_PARTIES=" + DefaultAuthorizedParty,
		"CLERK_WEBHOOK_SIGNING_SECRET=" + s.WebhookSigningSecret(),
	}
}

// getInstance answers GET /v1/instance.
func (s *Server) getInstance(*http.Request) (any, error) {
	environment := "development"
	if strings.HasPrefix(s.options.SecretKey, "sk_live_") {
		environment = "production"
	}
	return object{"object": "instance", "id": s.options.InstanceID, "environment_type": environment, "allowed_origins": nil}, nil
}

// Close stops listening, ends every connection, hung requests included, gives up
// the webhooks that are not delivered, and waits for all goroutines.
func (s *Server) Close() error {
	s.webhooks.Close()
	s.Server.Close()
	return nil
}

// SetPageOrigins sets the origins of the pages that may read GET /token and GET
// /ticket: at first, port 3001 of localhost and 127.0.0.1. The first is the azp of
// a token for which /token is given none.
func (s *Server) SetPageOrigins(origins ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pageOrigins = slices.Clone(origins)
}

func (s *Server) now() time.Time { return s.options.Now() }

// locked calls do while mu is held, and returns a copy of the row.
func locked[V any](s *Server, do func() (*V, error)) (V, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	row, err := do()
	if err != nil {
		return *new(V), err
	}
	return *row, nil
}

// newID returns an id as Clerk's, such as "sess_…".
func newID(prefix string) string { return prefix + "_" + rand.Text() }

// seed adds the accounts that every server starts with.
func (s *Server) seed() error {
	s.machines = []Machine{
		{ID: "mch_inventory", SecretKey: "ak_fakeclerk_inventory"},
		{ID: "mch_reports", SecretKey: "ak_fakeclerk_reports", Scopes: []string{"mch_inventory"}},
	}
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
		{ID: "user_grace", FirstName: "Grace", LastName: "Hopper", EmailAddresses: []EmailAddress{{ID: "idn_grace", EmailAddress: "grace@example.com"}}},
		{ID: "user_noemail", Username: "noemail"},
		{ID: "user_banned", Banned: true, EmailAddresses: []EmailAddress{{ID: "idn_banned", EmailAddress: "banned@example.com"}}},
	} {
		if _, err := s.addUser(user); err != nil {
			return err
		}
	}
	if _, err := s.addOrganization(Organization{ID: "org_analytical", Name: "Analytical", CreatedBy: "user_ada"}); err != nil {
		return err
	}
	_, err := s.addMembership("org_analytical", "user_grace", RoleMember)
	return err
}
