package fakeclerk

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// getToken answers GET /token?email=…, or user_id= in place of email=, with a fresh session token as plain
// text. An empty azp leaves the claim out, as in a native app; the JSON objects claims and headers are
// merged into the token, where null deletes a field.
//
// It gives a token for a banned user too, whom the Backend API refuses: a caller needs one to see what
// happens to a user who is banned while signed in.
func (s *Server) getToken(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	var options []TokenOption
	if query.Has("azp") {
		options = append(options, Claim("azp", emptyAsNil(query.Get("azp"))))
	}
	for parameter, option := range map[string]func(string, any) TokenOption{"claims": Claim, "headers": Header} {
		fields, err := decodeFields(query.Get(parameter))
		if err != nil {
			http.Error(w, parameter+": "+err.Error(), http.StatusBadRequest)
			return
		}
		for name, value := range fields {
			options = append(options, option(name, value))
		}
	}
	if query.Has("org") {
		options = slices.Insert(options, 0, ActiveOrganization(query.Get("org")))
	}
	user, ok := s.store.user(query.Get("user_id"))
	if !ok && !query.Has("user_id") {
		user, ok = s.store.userByEmail(query.Get("email"))
	}
	if !ok {
		http.Error(w, "no such account; there are: "+s.store.accounts(), http.StatusNotFound)
		return
	}
	token, err := s.SessionToken(user.ID, options...)
	if errors.Is(err, ErrUnknownMembership) {
		http.Error(w, "org: the user is not a member of it", http.StatusNotFound)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(token))
}

func emptyAsNil(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// decodeFields reads a JSON object, "" as an empty one, and keeps numbers as they are written.
func decodeFields(text string) (map[string]any, error) {
	if text == "" {
		return nil, nil
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var fields map[string]any
	if err := decoder.Decode(&fields); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	return fields, nil
}

// duration is a [time.Duration] in the form "1.5s".
type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}

// putFaults answers PUT /fakeclerk/faults: [Server.SetFault].
func (s *Server) putFaults(w http.ResponseWriter, r *http.Request) {
	var body struct {
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
	if err := readControl(r, &body); err != nil {
		writeError(w, err)
		return
	}
	fault := Fault{
		Kind:       body.Kind,
		Latency:    time.Duration(body.Latency),
		Duration:   time.Duration(body.Duration),
		Status:     body.Status,
		RetryAfter: time.Duration(body.RetryAfter) * time.Second,
		Body:       body.Body,
		Count:      body.Count,
	}
	if fault.Kind == FaultRefused {
		if fault.Duration == 0 {
			writeError(w, errParam("form_param_missing", "duration", "refused needs a duration here: nothing could end it"))
			return
		}
		w.Header().Set("Connection", "close") // this connection is the last
	}
	var err error
	switch {
	case body.UserID != "" && body.Route != "":
		err = errors.New("a fault is of a route or of a user, not of both")
	case body.UserID != "":
		err = s.setUserFault(body.UserID, fault)
	default:
		conn, _ := r.Context().Value(connKey{}).(net.Conn)
		err = s.setFault(body.Route, fault, conn)
	}
	if err != nil {
		writeError(w, errParam("form_param_value_invalid", "fault", err.Error()))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// deleteFaults answers DELETE /fakeclerk/faults: [Server.ClearFaults].
func (s *Server) deleteFaults(w http.ResponseWriter, _ *http.Request) {
	s.ClearFaults()
	w.WriteHeader(http.StatusNoContent)
}

// getRequests answers GET /fakeclerk/requests: the counts of the Backend API routes.
func (s *Server) getRequests(w http.ResponseWriter, _ *http.Request) {
	counts := struct {
		Total       int            `json:"total"`
		RateLimited int            `json:"rate_limited"`
		Routes      map[string]int `json:"routes"`
	}{RateLimited: s.RateLimited(), Routes: make(map[string]int)}
	for name, rt := range s.routes.byName {
		if rt.backendAPI {
			counts.Routes[name] = int(rt.requests.Load())
			counts.Total += counts.Routes[name]
		}
	}
	answer(w, counts)
}

// deleteRequests answers DELETE /fakeclerk/requests: [Server.ResetRequests].
func (s *Server) deleteRequests(w http.ResponseWriter, _ *http.Request) {
	s.ResetRequests()
	w.WriteHeader(http.StatusNoContent)
}

// rotateKey answers POST /fakeclerk/keys/rotate {"kid"}: [Server.RotateKey].
func (s *Server) rotateKey(w http.ResponseWriter, r *http.Request) {
	var body struct {
		KID string `json:"kid"`
	}
	if err := readControl(r, &body); err != nil {
		writeError(w, err)
		return
	}
	s.RotateKey(body.KID)
	answer(w, map[string]string{"kid": s.KeyID()})
}

// deleteKey answers DELETE /fakeclerk/keys/{kid}: [Server.RemoveKey].
func (s *Server) deleteKey(w http.ResponseWriter, r *http.Request) {
	kid := r.PathValue("kid")
	if !s.keys.remove(kid) {
		writeError(w, errNotFound("key", kid))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// putRateLimit answers PUT /fakeclerk/rate_limit: [Server.SetRateLimit].
func (s *Server) putRateLimit(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Requests int      `json:"requests"`
		Window   duration `json:"window"`
	}
	if err := readControl(r, &body); err != nil {
		writeError(w, err)
		return
	}
	s.SetRateLimit(RateLimit{Requests: body.Requests, Window: time.Duration(body.Window)})
	w.WriteHeader(http.StatusNoContent)
}

// putLatency answers PUT /fakeclerk/latency {"latency"}: [Server.SetLatency].
func (s *Server) putLatency(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Latency duration `json:"latency"`
	}
	if err := readControl(r, &body); err != nil {
		writeError(w, err)
		return
	}
	s.SetLatency(time.Duration(body.Latency))
	w.WriteHeader(http.StatusNoContent)
}

// putClock answers PUT /fakeclerk/clock {"offset"}: [Server.SetClockOffset].
func (s *Server) putClock(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Offset duration `json:"offset"`
	}
	if err := readControl(r, &body); err != nil {
		writeError(w, err)
		return
	}
	s.SetClockOffset(time.Duration(body.Offset))
	w.WriteHeader(http.StatusNoContent)
}

// addUser answers POST /fakeclerk/users, a [User] in JSON: [Server.AddUser].
func (s *Server) addUser(w http.ResponseWriter, r *http.Request) {
	var user User
	if err := readControl(r, &user); err != nil {
		writeError(w, err)
		return
	}
	user, err := s.AddUser(user)
	if err != nil {
		writeError(w, errParam("form_identifier_exists", "id", err.Error()))
		return
	}
	answer(w, newUserJSON(user))
}

// answer sends a value as JSON.
func answer(w http.ResponseWriter, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, body)
}
