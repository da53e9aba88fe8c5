package fakeclerk

import (
	"cmp"
	"net/http"
)

// The resources of the Frontend API. Fields that are always null or empty are there because Clerk's JavaScript
// reads them. Times are in milliseconds since 1970.

type clientJSON struct {
	Object              string              `json:"object"`
	ID                  string              `json:"id"`
	Sessions            []clientSessionJSON `json:"sessions"`
	SignIn              *signInJSON         `json:"sign_in"`
	SignUp              *struct{}           `json:"sign_up"`
	LastActiveSessionID *string             `json:"last_active_session_id"`
	CookieExpiresAt     *int64              `json:"cookie_expires_at"`
	CaptchaBypass       bool                `json:"captcha_bypass"`
	CreatedAt           int64               `json:"created_at"`
	UpdatedAt           int64               `json:"updated_at"`
}

type signInJSON struct {
	Object                   string     `json:"object"`
	ID                       string     `json:"id"`
	Status                   string     `json:"status"`
	SupportedIdentifiers     []string   `json:"supported_identifiers"`
	SupportedFirstFactors    []struct{} `json:"supported_first_factors"`
	SupportedSecondFactors   []struct{} `json:"supported_second_factors"`
	FirstFactorVerification  *struct{}  `json:"first_factor_verification"`
	SecondFactorVerification *struct{}  `json:"second_factor_verification"`
	Identifier               *string    `json:"identifier"`
	UserData                 *struct{}  `json:"user_data"`
	CreatedSessionID         *string    `json:"created_session_id"`
}

// clientSessionJSON is the Session resource as its own browser sees it: with the user and a token.
type clientSessionJSON struct {
	sessionJSON
	FactorVerificationAge []int              `json:"factor_verification_age"`
	User                  clientUserJSON     `json:"user"`
	PublicUserData        publicUserDataJSON `json:"public_user_data"`
	LastActiveToken       tokenJSON          `json:"last_active_token"`
	Tasks                 *[]struct{}        `json:"tasks"`
}

// clientUserJSON is the User resource as the user sees it: with the memberships, and without what is private to
// the backend.
type clientUserJSON struct {
	userJSON
	PrivateMetadata         *struct{}        `json:"private_metadata,omitempty"` // hides userJSON's
	OrganizationMemberships []membershipJSON `json:"organization_memberships"`
}

func newSignInJSON(session Session) signInJSON {
	return signInJSON{
		Object:                 "sign_in_attempt",
		ID:                     newID("sia"),
		Status:                 "complete",
		SupportedIdentifiers:   []string{},
		SupportedFirstFactors:  []struct{}{},
		SupportedSecondFactors: []struct{}{},
		CreatedSessionID:       &session.ID,
	}
}

// newClientJSON is what the browser learns about itself. Its sessions carry tokens for the page that asks.
func (s *Server) newClientJSON(r *http.Request, client *browserClient) (*clientJSON, error) {
	out := &clientJSON{
		Object:              "client",
		ID:                  client.id,
		Sessions:            []clientSessionJSON{},
		LastActiveSessionID: nullable(client.lastActive),
		CreatedAt:           client.createdAt.UnixMilli(),
		UpdatedAt:           client.updatedAt.UnixMilli(),
	}
	for _, session := range s.activeSessions(client) {
		body, err := s.newClientSessionJSON(r, client, session)
		if err != nil {
			return nil, err
		}
		out.Sessions = append(out.Sessions, body)
	}
	return out, nil
}

func (s *Server) newClientSessionJSON(r *http.Request, client *browserClient, session Session) (clientSessionJSON, error) {
	organization := client.organizations[session.ID]
	jwt, err := s.signClientToken(r, session, organization)
	if err != nil {
		return clientSessionJSON{}, err
	}
	user, ok := s.store.user(session.UserID)
	if !ok {
		return clientSessionJSON{}, errSignedOut()
	}
	out := clientSessionJSON{
		sessionJSON:           newSessionJSON(session),
		FactorVerificationAge: []int{int(s.now().Sub(session.CreatedAt).Minutes()), -1},
		User:                  clientUserJSON{userJSON: newUserJSON(user), OrganizationMemberships: s.membershipsOf(user.ID)},
		PublicUserData:        newPublicUserDataJSON(user),
		LastActiveToken:       tokenJSON{Object: "token", JWT: jwt},
	}
	out.LastActiveOrganizationID = nullable(organization)
	return out, nil
}

func (s *Server) membershipsOf(userID string) []membershipJSON {
	s.organizations.mu.RLock()
	var memberships []Membership
	for _, m := range s.organizations.memberships {
		if m.UserID == userID {
			memberships = append(memberships, *m)
		}
	}
	s.organizations.mu.RUnlock()
	list := make([]membershipJSON, len(memberships))
	for i, m := range memberships {
		list[i] = s.newMembershipJSON(m)
	}
	return list
}

func newPublicUserDataJSON(user User) publicUserDataJSON {
	return publicUserDataJSON{
		UserID: user.ID, Identifier: cmp.Or(user.PrimaryEmailAddress(), user.Username),
		FirstName: nullable(user.FirstName), LastName: nullable(user.LastName),
		ImageURL: "https://img.clerk.com/preview.png",
	}
}
