package fakeclerk

import (
	"cmp"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// getToken answers GET /token?email=…, or user_id= in place of email=, with a
// fresh session token as plain text, and GET /token?type=… with a machine token.
// An empty azp leaves the claim out, as in a native app; the JSON objects claims
// and headers are merged into the token, where null deletes a field.
//
// It gives a token for a banned user too, whom the Backend API refuses: a caller
// needs one to see what happens to a user who is banned while signed in.
func (s *Server) getToken(r *http.Request) (any, error) {
	query := r.URL.Query()
	options := []TokenOption{ActiveOrganization(query.Get("org"))}
	for parameter, option := range map[string]func(string, any) TokenOption{"claims": Claim, "headers": Header} {
		fields, err := decodeFields(query.Get(parameter))
		if err != nil {
			return nil, plainError{http.StatusBadRequest, parameter + ": not a JSON object: " + err.Error()}
		}
		for name, value := range fields {
			options = append(options, option(name, value))
		}
	}
	if tokenType := query.Get("type"); tokenType != "" && tokenType != "session_token" {
		return s.newMachineToken(query, options[1:])
	}
	user, err := s.named(query)
	if err != nil {
		return nil, err
	}
	azp := DefaultAuthorizedParty
	if query.Has("azp") {
		azp = query.Get("azp")
	}
	session, err := s.tokenSession(user.ID)
	if err != nil {
		return nil, err
	}
	t, err := s.sessionToken(session, s.options.TokenLifetime, append([]TokenOption{Claim("azp", nullable(azp))}, options...))
	if errors.Is(err, ErrUnknownMembership) {
		return nil, plainError{http.StatusNotFound, "org: the user is not a member of it"}
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
	o := s.organization(query.Get("org"))
	switch {
	case t.Type == TypeM2MToken:
		t.Subject = cmp.Or(query.Get("machine"), "mch_reports")
	case t.Type == TypeAPIKey && o != nil:
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
	t, err := s.addMachineToken(t, options)
	return plainText(t.Token), err
}

// decodeFields reads a JSON object, "" as an empty one, and keeps numbers as
// they are written.
func decodeFields(text string) (object, error) {
	decoder := json.NewDecoder(strings.NewReader(cmp.Or(text, "{}")))
	decoder.UseNumber()
	var fields object
	err := decoder.Decode(&fields)
	return fields, err
}

// getTicket answers GET /ticket?email=…, or user_id= in place of email=, with a
// sign-in ticket as plain text.
func (s *Server) getTicket(r *http.Request) (any, error) {
	user, err := s.named(r.URL.Query())
	if err != nil {
		return nil, err
	}
	ticket, err := s.newTicket(user.ID)
	return plainText(ticket), err
}

// duration is a [time.Duration] in the form "1.5s".
type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}

type faultParams struct {
	Route      string    `json:"route"`
	UserID     string    `json:"user_id"`
	Kind       FaultKind `json:"kind"`
	Latency    duration  `json:"latency"`
	Duration   duration  `json:"duration"`
	Status     int       `json:"status"`
	RetryAfter int       `json:"retry_after"` // seconds, as in the header
	Body       string    `json:"body"`
	Count      int       `json:"count"`
}

func (s *Server) putFaults(r *http.Request, body faultParams) (any, error) {
	fault := Fault{
		Kind: body.Kind, Latency: time.Duration(body.Latency), Duration: time.Duration(body.Duration), Status: body.Status,
		RetryAfter: time.Duration(body.RetryAfter) * time.Second, Body: body.Body, Count: body.Count,
	}
	var err error
	switch {
	case fault.Kind == FaultRefused && fault.Duration == 0:
		err = errors.New("refused needs a duration here: nothing could end it")
	case body.UserID != "" && body.Route != "":
		err = errors.New("a fault is of a route or of a user, not of both")
	case body.UserID != "":
		err = s.setUserFault(body.UserID, fault)
	default:
		conn, _ := r.Context().Value(connKey{}).(net.Conn)
		err = s.setFault(body.Route, fault, conn)
	}
	if err != nil {
		return nil, errParam("form_param_value_invalid", "fault", err.Error())
	}
	if fault.Kind == FaultRefused {
		return lastAnswer{}, nil
	}
	return nil, nil
}

func (s *Server) deleteFaults(*http.Request) (any, error) {
	s.clearFaults()
	return nil, nil
}

// getRequests answers GET /fakeclerk/requests: the counts of the Backend API
// routes.
func (s *Server) getRequests(*http.Request) (any, error) {
	routes := make(map[string]int)
	for name, rt := range s.routes {
		if rt.surface == backendAPI {
			routes[name] = rt.requests
		}
	}
	return object{"total": s.totalRequests(), "rate_limited": s.rateLimiter.refused, "routes": routes}, nil
}

func (s *Server) deleteRequests(*http.Request) (any, error) {
	s.resetRequests()
	return nil, nil
}

type keyParams struct {
	KID string `json:"kid"`
}

func (s *Server) rotateKey(_ *http.Request, body keyParams) (any, error) {
	s.keys.add(cmp.Or(body.KID, newID("ins")), newSigningKey())
	return object{"kid": s.keys.id}, nil
}

func (s *Server) deleteKey(r *http.Request) (any, error) {
	if kid := r.PathValue("kid"); !s.keys.remove(kid) {
		return nil, errNotFound("No key was found with id " + kid)
	}
	return nil, nil
}

// settings are what the routes that set one number take.
type settings struct {
	Requests int      `json:"requests"`
	Window   duration `json:"window"`
	Latency  duration `json:"latency"`
	Offset   duration `json:"offset"`
}

func (s *Server) putRateLimit(_ *http.Request, body settings) (any, error) {
	s.rateLimiter = newRateLimiter(RateLimit{Requests: body.Requests, Window: time.Duration(body.Window)})
	return nil, nil
}

func (s *Server) putLatency(_ *http.Request, body settings) (any, error) {
	s.latency = time.Duration(body.Latency)
	return nil, nil
}

func (s *Server) putClock(_ *http.Request, body settings) (any, error) {
	s.clockOffset = time.Duration(body.Offset)
	return nil, nil
}

func (s *Server) postUser(_ *http.Request, user User) (any, error) {
	user, err := s.addUser(user)
	return newUserJSON(user), err
}

func (s *Server) postMachineToken(_ *http.Request, t MachineToken) (any, error) {
	t, err := s.addMachineToken(t, nil)
	return s.withSecret(t), err
}

func (s *Server) endSession(r *http.Request) (any, error) {
	_, err := s.changeSession(r.PathValue("id"), SessionEnded)
	return nil, err
}
