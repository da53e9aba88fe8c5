package fakeclerk

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"encore.app/fakeclerk/faulty"
)

// getToken answers GET /token?email=…, or user_id= in place of email=, with a
// fresh session token as plain text, and GET /token?type=… with a machine token.
// An empty azp leaves the claim out, as in a native app; the JSON objects claims
// and headers are merged into the token, where null deletes a field.
//
// It gives a token for a banned user too, although the Backend API refuses the
// user. A caller needs such a token to see what happens to a user who is banned
// while signed in.
func (s *Server) getToken(r *http.Request) (any, error) {
	query := r.URL.Query()
	var options []TokenOption
	for parameter, option := range map[string]func(string, any) TokenOption{"claims": Claim, "headers": Header} {
		var fields object
		if err := json.Unmarshal([]byte(cmp.Or(query.Get(parameter), "{}")), &fields); err != nil {
			return nil, newError(http.StatusBadRequest, "", parameter+": not a JSON object: "+err.Error())
		}
		for name, value := range fields {
			options = append(options, option(name, value))
		}
	}
	if tokenType := query.Get("type"); tokenType != "" && tokenType != "session_token" {
		return s.newMachineToken(query, options)
	}
	user, err := s.named(query)
	if err != nil {
		return nil, err
	}
	azp := s.pageOrigins[0]
	if query.Has("azp") {
		azp = query.Get("azp")
	}
	options = append([]TokenOption{ActiveOrganization(query.Get("org")), authorizedParty(azp)}, options...)
	t, err := s.sessionToken(s.tokenSession(user), s.options.TokenLifetime, options)
	if errors.Is(err, ErrUnknownMembership) {
		return nil, newError(http.StatusNotFound, "", "org: the user is not a member of it")
	}
	if err != nil {
		return nil, err
	}
	signed, err := t.sign()
	return plainText(signed), err
}

// newMachineToken answers GET /token?type= with a fresh machine token.
func (s *Server) newMachineToken(query url.Values, options []TokenOption) (any, error) {
	t := MachineToken{
		Type: query.Get("type"), Name: "from /token", JWT: query.Get("format") == "jwt",
		Scopes: strings.FieldsFunc(query.Get("scopes"), func(r rune) bool { return r == ',' || r == ' ' }),
	}
	o, err := s.organization(query.Get("org"))
	switch {
	case t.Type == TypeM2MToken:
		t.Subject = cmp.Or(query.Get("machine"), "mch_reports")
	case t.Type == TypeAPIKey && err == nil:
		t.Subject = o.ID
	default:
		user, err := s.named(query)
		if err != nil {
			return nil, err
		}
		t.Subject = user.ID
	}
	if seconds, err := strconv.Atoi(query.Get("expires_in")); err == nil {
		t.ExpiresAt = s.now().Add(time.Duration(seconds) * time.Second)
	}
	added, err := s.addMachineToken(t, options)
	if err != nil {
		return nil, err
	}
	return plainText(added.Token), nil
}

type faultParams struct {
	Fault
	Route, UserID string
	RetryAfter    int // seconds, as in the header
}

func (s *Server) putFaults(_ *http.Request, p faultParams) (any, error) {
	p.Fault.RetryAfter = time.Duration(p.RetryAfter) * time.Second
	if err := s.Break(p.Route, p.UserID, p.Fault); err != nil {
		return nil, errParam("form_param_value_invalid", "fault", err.Error())
	}
	if p.Kind == FaultRefused {
		return faulty.Answer{Refuse: p.Duration}, nil
	}
	return nil, nil
}

// getRequests answers GET /fakeclerk/requests with the counts of the Backend API
// routes.
func (s *Server) getRequests(*http.Request) (any, error) {
	return object{"total": s.TotalRequests(), "rate_limited": s.RateLimited(), "routes": s.RequestsByRoute()}, nil
}

func (s *Server) rotateKey(_ *http.Request, p struct{ KID string }) (any, error) {
	s.keys.add(cmp.Or(p.KID, newID("ins")), newSigningKey())
	return object{"kid": s.keys.id}, nil
}

func (s *Server) deleteKey(r *http.Request) (any, error) {
	if kid := r.PathValue("kid"); !s.keys.remove(kid) {
		return nil, errNotFound("No key was found with id " + kid)
	}
	return nil, nil
}

func (s *Server) postUser(_ *http.Request, user User) (any, error) { return s.addUser(user) }

func (s *Server) postMachineToken(_ *http.Request, t MachineToken) (any, error) {
	return s.withSecret(s.addMachineToken(t, nil))
}
