// Package organization answers questions about the caller's active organization,
// and shows how an endpoint says what its caller must have.
package organization

import (
	"context"

	"encore.app/auth"
	"encore.app/examples/organization/members"
)

// Service fetches organizations from Clerk.
//
//encore:service
type Service struct {
	members *members.Client
}

// initService is run by Encore when the service starts. An error stops the app.
func initService() (*Service, error) {
	backend, err := auth.Backend()
	if err != nil {
		return nil, err
	}
	return &Service{members: &members.Client{Backend: backend, Log: auth.Log{}}}, nil
}

// GetOrganization tells callers which organization is active for them.
//
//encore:api auth method=GET path=/organization
func GetOrganization(ctx context.Context) (*members.Organization, error) {
	caller, err := auth.Caller()
	if err != nil {
		return nil, err
	}
	return members.Active(caller)
}

// RemoveMember takes a user out of the active organization. It is for admins who
// have proved who they are within the last ten minutes.
//
//encore:api auth method=DELETE path=/organization/members/:userID
func (s *Service) RemoveMember(ctx context.Context, userID string) error {
	caller, err := auth.Require(members.ToRemove...)
	if err != nil {
		return err
	}
	return s.members.Remove(ctx, caller, userID)
}
