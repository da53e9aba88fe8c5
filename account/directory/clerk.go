package directory

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"

	"encore.app/auth/clerkauth"
)

// pageSize is the most records that Clerk lists at once.
const pageSize = 500

// idsPerCall is the most ids that Clerk takes as a filter.
const idsPerCall = 100

// clerkLists is what a reconciliation asks Clerk. Lists are in order of
// creation, the oldest first.
type clerkLists interface {
	users(ctx context.Context, limit, offset int) ([]userRecord, error)
	usersByID(ctx context.Context, ids []string) ([]userRecord, error)
	organizations(ctx context.Context, limit, offset int) ([]organizationRecord, error)
	memberships(ctx context.Context, limit, offset int) ([]membershipRecord, error)
	// membershipsOf lists the memberships of users, at most idsPerCall, in one
	// organization.
	membershipsOf(ctx context.Context, organizationID string, userIDs []string) ([]membershipRecord, error)

	// user and organization return nil for one that is not there.
	user(ctx context.Context, id string) (*userRecord, error)
	organization(ctx context.Context, id string) (*organizationRecord, error)
}

// clerkAPI asks Clerk's Backend API. It decodes only what is stored, so that a
// surprise in another field does no harm.
type clerkAPI struct{ backend clerk.Backend }

type date int64

func (d date) time() time.Time { return clerkauth.UnixTime(int64(d)) }

type userJSON struct {
	ID                    string `json:"id"`
	PrimaryEmailAddressID string `json:"primary_email_address_id"`
	EmailAddresses        []struct {
		ID           string `json:"id"`
		EmailAddress string `json:"email_address"`
		Verification *struct {
			Status string `json:"status"`
		} `json:"verification"`
	} `json:"email_addresses"`
	Username   string `json:"username"`
	FirstName  string `json:"first_name"`
	LastName   string `json:"last_name"`
	ExternalID string `json:"external_id"`
	Banned     bool   `json:"banned"`
	CreatedAt  date   `json:"created_at"`
	UpdatedAt  date   `json:"updated_at"`
}

func (u *userJSON) record() userRecord {
	created := u.CreatedAt.time()
	r := userRecord{
		ID: u.ID, Username: u.Username, FirstName: u.FirstName, LastName: u.LastName, ExternalID: u.ExternalID,
		Banned: u.Banned, CreatedAt: &created, UpdatedAt: u.UpdatedAt.time(),
	}
	for _, address := range u.EmailAddresses {
		if address.ID == u.PrimaryEmailAddressID && address.ID != "" {
			r.PrimaryEmail = address.EmailAddress
			r.EmailVerified = address.Verification != nil && address.Verification.Status == "verified"
		}
	}
	return r.clean()
}

type organizationJSON struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Slug      string `json:"slug"`
	CreatedAt date   `json:"created_at"`
	UpdatedAt date   `json:"updated_at"`
}

func (o *organizationJSON) record() organizationRecord {
	created := o.CreatedAt.time()
	return organizationRecord{ID: o.ID, Name: o.Name, Slug: o.Slug, CreatedAt: &created, UpdatedAt: o.UpdatedAt.time()}.clean()
}

type membershipJSON struct {
	ID           string `json:"id"`
	Role         string `json:"role"`
	Organization struct {
		ID string `json:"id"`
	} `json:"organization"`
	PublicUserData struct {
		UserID     string `json:"user_id"`
		Identifier string `json:"identifier"`
	} `json:"public_user_data"`
	CreatedAt date `json:"created_at"`
	UpdatedAt date `json:"updated_at"`
}

func (m *membershipJSON) record() membershipRecord {
	return membershipRecord{
		ID: m.ID, OrganizationID: m.Organization.ID, UserID: m.PublicUserData.UserID, Role: m.Role,
		CreatedAt: m.CreatedAt.time(), UpdatedAt: m.UpdatedAt.time(), Identifier: storable(m.PublicUserData.Identifier),
	}.clean()
}

func (c clerkAPI) users(ctx context.Context, limit, offset int) ([]userRecord, error) {
	var list []*userJSON
	err := c.get(ctx, "/users", page(limit, offset), &list)
	return records(list, (*userJSON).record), err
}

func (c clerkAPI) usersByID(ctx context.Context, ids []string) ([]userRecord, error) {
	var list []*userJSON
	err := c.get(ctx, "/users", url.Values{"user_id": ids, "limit": {strconv.Itoa(idsPerCall)}}, &list)
	return records(list, (*userJSON).record), err
}

func (c clerkAPI) organizations(ctx context.Context, limit, offset int) ([]organizationRecord, error) {
	var list dataOf[organizationJSON]
	err := c.get(ctx, "/organizations", page(limit, offset), &list)
	return records(list.Data, (*organizationJSON).record), err
}

func (c clerkAPI) memberships(ctx context.Context, limit, offset int) ([]membershipRecord, error) {
	var list dataOf[membershipJSON]
	err := c.get(ctx, "/organization_memberships", page(limit, offset), &list)
	return records(list.Data, (*membershipJSON).record), err
}

func (c clerkAPI) membershipsOf(ctx context.Context, organizationID string, userIDs []string) ([]membershipRecord, error) {
	var list dataOf[membershipJSON]
	query := url.Values{"user_id": userIDs, "limit": {strconv.Itoa(idsPerCall)}}
	err := c.get(ctx, "/organizations/"+url.PathEscape(organizationID)+"/memberships", query, &list)
	if isNotFound(err) {
		return nil, nil
	}
	return records(list.Data, (*membershipJSON).record), err
}

func (c clerkAPI) user(ctx context.Context, id string) (*userRecord, error) {
	return single(ctx, c, "/users/"+url.PathEscape(id), (*userJSON).record)
}

func (c clerkAPI) organization(ctx context.Context, id string) (*organizationRecord, error) {
	return single(ctx, c, "/organizations/"+url.PathEscape(id), (*organizationJSON).record)
}

func page(limit, offset int) url.Values {
	return url.Values{"limit": {strconv.Itoa(limit)}, "offset": {strconv.Itoa(offset)}, "order_by": {"+created_at"}}
}

type dataOf[T any] struct {
	Data []*T `json:"data"`
}

func records[J, R any](list []*J, record func(*J) R) []R {
	all := make([]R, 0, len(list))
	for _, one := range list {
		if one != nil {
			all = append(all, record(one))
		}
	}
	return all
}

func single[J, R any](ctx context.Context, c clerkAPI, path string, record func(*J) R) (*R, error) {
	var found J
	err := c.get(ctx, path, nil, &found)
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r := record(&found)
	return &r, nil
}

// isNotFound reports whether Clerk itself says that there is no such thing.
func isNotFound(err error) bool { return errors.Is(err, clerkauth.ErrNotFound) }

// get decodes the answer to a GET request.
func (c clerkAPI) get(ctx context.Context, path string, query url.Values, into any) error {
	request := clerk.NewAPIRequest(http.MethodGet, path)
	request.SetParams(&params{query: query})
	return c.backend.Call(ctx, request, &body{into: into})
}

type params struct {
	clerk.APIParams
	query url.Values
}

// ToQuery implements [clerk.Params].
func (p *params) ToQuery() url.Values { return p.query }

// body decodes an answer into any value: the SDK decodes into its own argument.
type body struct {
	clerk.APIResource
	into any
}

// UnmarshalJSON implements [json.Unmarshaler].
func (b *body) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, b.into) }
