package fakeclerk

import (
	"cmp"
	"crypto/rsa"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// Options configures a [Server]. The zero value works.
type Options struct {
	// Addr is the loopback address to listen on. Default "127.0.0.1:0": a free port.
	Addr string
	// SigningKey signs the first tokens. Default: a fresh 2048-bit key.
	SigningKey *rsa.PrivateKey
	// KeyID is the id (kid) of SigningKey. Clerk uses the instance id. Default "ins_fakeclerk".
	KeyID string
	// Issuer is the iss claim: Clerk's Frontend API URL. Default "https://fakeclerk.clerk.accounts.dev".
	Issuer string
	// SecretKey is the key that the Backend API asks for. Default "sk_test_fakeclerk".
	SecretKey string
	// TokenLifetime is the time from a token's iat to its exp, in whole seconds. Default 60 s, as Clerk's.
	TokenLifetime time.Duration
	// SessionClaims returns further claims for every session token, as "Customize session token" in
	// Clerk's dashboard does. It cannot replace Clerk's own claims. Default: none.
	SessionClaims func(User) map[string]any
	// JWTTemplates are Clerk's JWT templates by name: each returns the claims that it adds to Clerk's
	// default ones, a nil function none. Default: no template.
	JWTTemplates map[string]func(User) map[string]any
	// RateLimit bounds the calls of the Backend API. Default: no limit.
	RateLimit RateLimit
	// Latency delays every answer of the Backend API. Default: none.
	Latency time.Duration
	// Now is the clock of tokens, timestamps and the rate limit. Default [time.Now].
	Now func() time.Time
	// WebhookURL is where events are sent, such as "http://127.0.0.1:4000/webhooks/clerk". Default: nowhere.
	WebhookURL string
	// WebhookSigningSecret signs them: "whsec_" and base64. Default: one that everybody knows.
	WebhookSigningSecret string
	// WebhookRetries are the waits before each further attempt to deliver an event. Default: Svix's, from
	// 5 seconds to 10 hours.
	WebhookRetries []time.Duration
	// Logger receives one line a request: method, route, status and duration, never a token, a key or
	// an email address. Default: no log.
	Logger *slog.Logger
}

// withDefaults returns the options with every unset field filled in.
func (o Options) withDefaults() Options {
	o.Addr = cmp.Or(o.Addr, "127.0.0.1:0")
	o.KeyID = cmp.Or(o.KeyID, "ins_fakeclerk")
	o.Issuer = cmp.Or(o.Issuer, "https://fakeclerk.clerk.accounts.dev")
	o.SecretKey = cmp.Or(o.SecretKey, "sk_test_fakeclerk")
	o.WebhookSigningSecret = cmp.Or(o.WebhookSigningSecret, defaultWebhookSigningSecret)
	if o.WebhookRetries == nil {
		o.WebhookRetries = svixRetries
	}
	o.TokenLifetime = cmp.Or(o.TokenLifetime, time.Minute)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.SigningKey == nil {
		o.SigningKey = newSigningKey()
	}
	return o
}

// Server is a running fake of Clerk. Its methods may be called from several goroutines.
type Server struct {
	options     Options
	url         string
	clockOffset atomic.Int64 // nanoseconds
	latency     atomic.Int64 // nanoseconds
	rateLimiter rateLimiter

	door   door
	keys   keyring
	store  store
	routes routeTable

	organizations organizationStore
	webhooks      webhookSender
	frontend      frontendStore
}

// Start listens on a loopback address and serves until [Server.Close].
// An address that is not loopback is an error: the tokens are real, the guard in front of them is not.
func Start(options Options) (*Server, error) {
	options = options.withDefaults()
	addr, err := loopback(options.Addr)
	if err != nil {
		return nil, fmt.Errorf("start fakeclerk: %w", err)
	}
	s := &Server{options: options}
	s.SetLatency(options.Latency)
	s.SetRateLimit(options.RateLimit)
	s.keys.add(options.KeyID, options.SigningKey)
	s.store.init()
	s.seed()
	s.registerRoutes()

	if err := s.webhooks.open(options); err != nil {
		return nil, fmt.Errorf("start fakeclerk: %w", err)
	}
	if err := s.door.open(addr, crossOrigin(s.routes.mux), options.Logger); err != nil {
		s.webhooks.close()
		return nil, fmt.Errorf("start fakeclerk: %w", err)
	}
	s.url = "http://" + s.door.addr.String()
	return s, nil
}

// URL is where the server listens, such as "http://127.0.0.1:41234". The Backend API is at URL()+"/v1".
func (s *Server) URL() string { return s.url }

// SecretKey is the key that the Backend API asks for (Clerk's CLERK_SECRET_KEY).
func (s *Server) SecretKey() string { return s.options.SecretKey }

// Issuer is the iss claim of every token.
func (s *Server) Issuer() string { return s.options.Issuer }

// Close stops listening, ends every connection, hung requests included, gives up the webhooks that are not
// delivered, and waits for all goroutines.
func (s *Server) Close() error {
	s.webhooks.close()
	return s.door.close()
}

// SetClockOffset makes the server's clock wrong: iat, nbf and exp of the tokens signed from now on
// are shifted by offset.
func (s *Server) SetClockOffset(offset time.Duration) { s.clockOffset.Store(int64(offset)) }

func (s *Server) now() time.Time { return s.options.Now() }

// tokenTime is the time of iat, the clock offset included.
func (s *Server) tokenTime() time.Time {
	return s.now().Add(time.Duration(s.clockOffset.Load()))
}
