package clerkauth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

const (
	minSecretBytes = 20 // less is guessed, and Clerk's are longer
	maxSecretBytes = 512

	// defaultOpaqueTokenMaxAge makes a revocation count as soon as that of a session
	// token, which lives for a minute. Clerk bills each verification
	// ($0.00001): a secret in constant use costs one each 45 s, some 60,000 a
	// month and process, of which Clerk gives away 100,000.
	defaultOpaqueTokenMaxAge = time.Minute

	// renewAhead: an answer in use is renewed in the last quarter of its time.
	renewAhead = 4
	// keepKnown is for how long a secret that Clerk knew is verified before
	// those that it never did.
	keepKnown = time.Hour
	// keepUnknown is for how long a secret stays refused that Clerk does not
	// know. It may have been created this moment.
	keepUnknown = 10 * time.Second

	maxKnownBytes     = 16 << 20
	maxRefusedSecrets = 50_000 // at some 150 bytes each
	// maxUnknownFlights is how many secrets that Clerk never knew are verified
	// or wait for it at a time.
	maxUnknownFlights = 64
)

// secretHash is the SHA-256 of a secret, under which it is remembered.
type secretHash [sha256.Size]byte

// machineRecord is what Clerk said of a secret that is good.
type machineRecord struct {
	caller    Caller
	checkedAt time.Time                 // when Clerk was asked
	user      atomic.Pointer[userEntry] // see users.find
}

// machines remembers what Clerk said of API keys and of opaque M2M and OAuth
// tokens.
//
// Anybody can make up secrets, each of which costs a call, and nobody can tell
// them from those that were created a moment ago. So those that Clerk never knew
// come last: they take no part of the budget that anybody else may need, are
// remembered apart, and few of them wait at a time. What a flood of them costs
// is the first request of a new secret, which may be answered Unavailable.
type machines struct {
	verify  func(ctx context.Context, kind TokenType, secret, owner string) (Caller, error)
	now     func() time.Time
	maxAge  time.Duration
	known   *otter.Cache[secretHash, *machineRecord]
	refused *otter.Cache[secretHash, Reason]

	mu      sync.Mutex
	flights map[secretHash]*flight[*machineRecord]
	unknown int // of the flights
}

func newMachines(b *Backend, o Options) *machines {
	keep := func(e otter.Entry[secretHash, Reason]) time.Duration {
		if e.Value == ReasonUnknownSecret {
			return keepUnknown
		}
		return max(o.OpaqueTokenMaxAge, keepUnknown)
	}
	return &machines{
		verify:  b.verifySecret,
		now:     o.Now,
		maxAge:  o.OpaqueTokenMaxAge,
		flights: map[secretHash]*flight[*machineRecord]{},
		known: newCache(o.Now, otter.Options[secretHash, *machineRecord]{
			MaximumWeight:    maxKnownBytes,
			Weigher:          func(_ secretHash, r *machineRecord) uint32 { return uint32(r.size()) },
			ExpiryCalculator: otter.ExpiryWriting[secretHash, *machineRecord](max(o.OpaqueTokenMaxAge, keepKnown)),
		}),
		refused: newCache(o.Now, otter.Options[secretHash, Reason]{
			MaximumSize:      maxRefusedSecrets,
			ExpiryCalculator: otter.ExpiryWritingFunc(keep),
		}),
	}
}

// find returns what Clerk said of a secret. It waits for Clerk only when
// Clerk was not asked within maxAge; all who present the same secret share the
// call.
func (m *machines) find(ctx context.Context, until time.Time, kind TokenType, secret string) (*machineRecord, error) {
	if !isSecret(secret) {
		return nil, refuseMalformed(secret)
	}
	hash := secretHash(sha256.Sum256([]byte(secret)))
	record, known := m.known.GetIfPresent(hash)
	if known {
		if age := m.now().Sub(record.checkedAt); age < m.maxAge {
			if age >= m.maxAge-m.maxAge/renewAhead {
				m.fly(ctx, kind, hash, secret, record) // later requests have the result
			}
			return m.use(record)
		}
	} else if reason, ok := m.refused.GetIfPresent(hash); ok {
		return nil, refuse(reason, "token_type", string(kind))
	}
	record, err := m.fly(ctx, kind, hash, secret, record).wait(ctx, until)
	if err != nil {
		return nil, err
	}
	return m.use(record)
}

// use returns the record, unless the token has expired since Clerk was asked.
func (m *machines) use(record *machineRecord) (*machineRecord, error) {
	if expiry := record.caller.ExpiresAt; !expiry.IsZero() && !m.now().Before(expiry) {
		return nil, refuse(ReasonExpired)
	}
	return record, nil
}

// fly starts a verification of a secret of which no more is known than the
// record, which may be nil. If one is in flight, fly returns that.
func (m *machines) fly(ctx context.Context, kind TokenType, hash secretHash, secret string, record *machineRecord) *flight[*machineRecord] {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.flights[hash]; f != nil {
		return f
	}
	f := newFlight[*machineRecord]()
	if newer, ok := m.known.GetIfPresent(hash); ok && newer != record {
		f.finish(newer, nil) // landed since the caller looked
		return f
	}
	if reason, ok := m.refused.GetIfPresent(hash); ok {
		f.finish(nil, refuse(reason, "token_type", string(kind)))
		return f
	}
	owner := ""
	if record != nil {
		owner = "secret " + hex.EncodeToString(hash[:])
	} else if m.unknown++; m.unknown > maxUnknownFlights {
		m.unknown--
		f.finish(nil, errBudget)
		return f
	}
	m.flights[hash] = f
	go func() {
		checkedAt := m.now()
		caller, err := guarded(func() (Caller, error) {
			return m.verify(context.WithoutCancel(ctx), kind, secret, owner)
		})
		m.land(hash, f, record, &machineRecord{caller: caller, checkedAt: checkedAt}, err)
	}()
	return f
}

// land stores the result of a flight and hands it to all who wait.
func (m *machines) land(hash secretHash, f *flight[*machineRecord], old, record *machineRecord, err error) {
	m.mu.Lock()
	delete(m.flights, hash)
	if old == nil {
		m.unknown--
	}
	var refusal *Error
	switch {
	case err == nil:
		m.known.Set(hash, record)
	case errors.As(err, &refusal) && refusal.Kind == Unauthenticated:
		m.known.Invalidate(hash)
		m.refused.Set(hash, refusal.Reason)
	}
	m.mu.Unlock()
	f.finish(record, err)
}

// isSecret checks the form of what would otherwise cost a call: the characters
// of a bearer token (RFC 6750, section 2.1) without the dots of a JWT.
func isSecret(s string) bool {
	if len(s) < minSecretBytes || len(s) > maxSecretBytes {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '_', c == '~', c == '+', c == '/', c == '=':
		default:
			return false
		}
	}
	return true
}

// size estimates the bytes that remembering r takes.
func (r *machineRecord) size() int {
	const fixed = 640 // the structs, the hash and the cache's own book-keeping
	return fixed + len(r.caller.Subject) + len(r.caller.RawClaims.text) + r.caller.authorizationSize()
}
