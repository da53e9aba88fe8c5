package fakeclerk

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// SetSessionTokenClaims adds claims to every session token, as "Customize session
// token" in Clerk's dashboard does. Strings may have shortcodes, such as
// {"metadata": "{{user.public_metadata}}"}. A call replaces the claims of the call
// before. Clerk's own claims are reserved: naming one is an error.
func (s *Server) SetSessionTokenClaims(claims map[string]any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.setSessionClaims(claims)
}

// reservedClaims cannot be set in Clerk's dashboard
// (https://clerk.com/docs/guides/sessions/session-tokens, default claims).
var reservedClaims = strings.Fields("azp exp fva iat iss jti nbf sid sub v pla fea sts o act org_id org_slug org_role org_permissions")

func (s *Server) setSessionClaims(claims map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		if slices.Contains(reservedClaims, name) {
			return errParam("form_param_value_invalid", "claims", "You can't use the reserved claim: "+name)
		}
	}
	// A copy with the types that JSON has: the caller's may change.
	text, err := json.Marshal(claims)
	if err != nil {
		return fmt.Errorf("encode claims: %w", err)
	}
	var copied object
	if err := json.Unmarshal(text, &copied); err != nil {
		return fmt.Errorf("decode claims: %w", err)
	}
	s.sessionClaims = copied
	return nil
}

func (s *Server) putSessionClaims(_ *http.Request, claims map[string]any) (any, error) {
	return nil, s.setSessionClaims(claims)
}

// customize adds the claims of [Server.SetSessionTokenClaims] to a session token.
func (s *Server) customize(t *token, session *Session) error {
	if len(s.sessionClaims) == 0 {
		return nil
	}
	shortcodes, err := s.shortcodes(t, session)
	if err != nil {
		return err
	}
	for name, template := range s.sessionClaims {
		if _, own := t.claims[name]; !own {
			t.claims[name] = render(template, shortcodes)
		}
	}
	return nil
}

// shortcodes are what a template may name. Times are in seconds.
func (s *Server) shortcodes(t *token, session *Session) (object, error) {
	user, err := s.users.find(session.UserID)
	if err != nil {
		return nil, err
	}
	organizations := object{}
	for _, m := range s.membershipsOf(user.ID) {
		organizations[m.OrganizationID] = m.Role
	}
	codes := object{
		"user": object{
			"id": user.ID, "external_id": nullable(user.ExternalID), "username": nullable(user.Username),
			"first_name": nullable(user.FirstName), "last_name": nullable(user.LastName),
			"full_name":             nullable(strings.TrimSpace(user.FirstName + " " + user.LastName)),
			"primary_email_address": nullable(user.PrimaryEmailAddress()), "email_verified": user.hasVerifiedEmail(),
			"primary_phone_number": nil, "phone_number_verified": false, "two_factor_enabled": false,
			"image_url": "https://img.clerk.com/preview.png", "has_image": false,
			"created_at": user.CreatedAt.Unix(), "updated_at": user.UpdatedAt.Unix(), "organizations": organizations,
			"public_metadata": orEmpty(user.PublicMetadata), "unsafe_metadata": orEmpty(user.UnsafeMetadata),
		},
		"session": object{"id": session.ID, "actor": t.claims["act"]},
	}
	if o, err := s.organization(t.organization); err == nil {
		codes["org"] = object{
			"id": o.ID, "name": o.Name, "slug": o.Slug, "role": organizations[o.ID],
			"image_url": "https://img.clerk.com/preview.png", "has_image": false, "public_metadata": orEmpty(o.PublicMetadata),
		}
		codes["org_membership"] = object{"role": organizations[o.ID], "public_metadata": object{}}
	}
	// With the types that JSON has, as a template finds them.
	text, err := json.Marshal(codes)
	if err != nil {
		return nil, fmt.Errorf("encode user: %w", err)
	}
	return codes, json.Unmarshal(text, &codes)
}

func orEmpty(metadata map[string]any) map[string]any {
	if metadata == nil {
		return object{}
	}
	return metadata
}

// hasVerifiedEmail reports whether the primary address is verified.
func (u *User) hasVerifiedEmail() bool {
	return slices.ContainsFunc(u.EmailAddresses, func(address EmailAddress) bool {
		return address.ID == u.PrimaryEmailAddressID && !address.Unverified
	})
}

var shortcode = regexp.MustCompile(`\{\{([^{}]*)\}\}`)

// render replaces the shortcodes in a value of a template
// (https://clerk.com/docs/guides/sessions/jwt-templates#shortcodes). One that is a
// string by itself keeps its type, and one inside a string becomes text.
func render(template any, shortcodes object) any {
	switch template := template.(type) {
	case map[string]any:
		rendered := make(object, len(template))
		for name, value := range template {
			rendered[name] = render(value, shortcodes)
		}
		return rendered
	case []any:
		rendered := make([]any, len(template))
		for i, value := range template {
			rendered[i] = render(value, shortcodes)
		}
		return rendered
	case string:
		if match := shortcode.FindStringSubmatch(template); match != nil && match[0] == template {
			return evaluate(match[1], shortcodes)
		}
		return shortcode.ReplaceAllStringFunc(template, func(code string) string {
			value := evaluate(code[2:len(code)-2], shortcodes)
			if text, ok := value.(string); ok {
				return text
			}
			text, _ := json.Marshal(value) // decoded from JSON
			return string(text)
		})
	}
	return template
}

// evaluate returns the first operand that is neither null nor false, or the last.
func evaluate(expression string, shortcodes object) any {
	var value any
	for operand := range strings.SplitSeq(expression, "||") {
		value = operandValue(strings.TrimSpace(operand), shortcodes)
		if value != nil && value != false {
			break
		}
	}
	return value
}

// operandValue is the value of a literal or of a path, null for one that does not
// exist.
func operandValue(operand string, shortcodes object) any {
	if len(operand) >= 2 && operand[0] == '\'' && operand[len(operand)-1] == '\'' {
		return operand[1 : len(operand)-1]
	}
	var literal any
	if json.Unmarshal([]byte(operand), &literal) == nil { // a number, true or false
		return literal
	}
	var value any = shortcodes
	for name := range strings.SplitSeq(operand, ".") {
		fields, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = fields[name]
	}
	return value
}

// mergeMetadata answers PATCH /v1/users/{id}/metadata: what is given is merged
// into the metadata, at every level, and null deletes a field.
func (s *Server) mergeMetadata(r *http.Request) (any, error) {
	user, err := s.users.find(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	var p struct {
		Public  object `json:"public_metadata"`
		Private object `json:"private_metadata"`
		Unsafe  object `json:"unsafe_metadata"`
	}
	if err := decode(r, &p); err != nil {
		return nil, err
	}
	return s.changeUser(user.ID, func(user *User) {
		user.PublicMetadata = merged(user.PublicMetadata, p.Public)
		user.PrivateMetadata = merged(user.PrivateMetadata, p.Private)
		user.UnsafeMetadata = merged(user.UnsafeMetadata, p.Unsafe)
	})
}

func merged(old, changes object) object {
	result := maps.Clone(orEmpty(old))
	for name, value := range changes {
		inner, nested := value.(map[string]any)
		before, _ := result[name].(map[string]any)
		switch {
		case value == nil:
			delete(result, name)
		case nested:
			result[name] = merged(before, inner)
		default:
			result[name] = value
		}
	}
	return result
}
