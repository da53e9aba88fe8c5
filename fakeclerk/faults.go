package fakeclerk

import (
	"github.com/go-json-experiment/json/jsontext"

	"encore.app/fakeclerk/faulty"
)

type (
	// Fault is one way of failing.
	Fault = faulty.Fault
	// FaultKind names what goes wrong.
	FaultKind = faulty.Kind
	// RateLimit bounds the calls of the Backend API. Clerk allows 100 calls in 10
	// seconds with a secret key that begins with sk_test_, and 1,000 with one that
	// begins with sk_live_:
	// https://clerk.com/docs/guides/how-clerk-works/system-limits. GET /v1/jwks is
	// not limited, and a call with a wrong key or none does not count.
	RateLimit = faulty.RateLimit
)

// Kinds of faults. The errors of FaultStatus have Clerk's body.
const (
	FaultLatency   = faulty.Latency
	FaultHang      = faulty.Hang
	FaultRefused   = faulty.Refused
	FaultReset     = faulty.Reset
	FaultStatus    = faulty.Status
	FaultTruncated = faulty.Truncated
	FaultCutJSON   = faulty.CutJSON
	FaultWrongJSON = faulty.WrongJSON
)

// SetUserFault breaks the record of one user, in the place of its earlier fault:
// GET /v1/users/{id}, and every page of GET /v1/users that holds the record. A
// fault of the route comes first. [FaultWrongJSON] replaces only the record, so
// that a page is sent with one odd record in it. It panics for an invalid fault
// and for [FaultRefused].
func (s *Server) SetUserFault(userID string, fault Fault) {
	if err := s.Break("", userID, fault); err != nil {
		panic("fakeclerk: set user fault: " + err.Error())
	}
}

// breakUsers applies the faults of users to what a handler answers with. It
// returns the answer and the fault of the whole response, if there is one.
func (s *Server) breakUsers(value any) (any, *Fault) {
	switch value := value.(type) {
	case *User:
		return value, s.NextFault(value.ID)
	case []*User:
		records := make([]any, len(value))
		for i, user := range value {
			records[i] = user
			fault := s.NextFault(user.ID)
			switch {
			case fault == nil:
			case fault.Kind == FaultWrongJSON:
				records[i] = jsontext.Value(fault.WrongJSON())
			default:
				return value, fault
			}
		}
		return records, nil
	}
	return value, nil
}
