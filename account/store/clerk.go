package store

import (
	"cmp"
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
	users(ctx context.Context, limit, offset int) (listing[userRecord], error)
	organizations(ctx context.Context, limit, offset int) (listing[organizationRecord], error)
	memberships(ctx context.Context, limit, offset int) (listing[membershipRecord], error)

	// The methods below take at most idsPerCall ids, and list what is there.
	usersByID(ctx context.Context, ids []string) (listing[userRecord], error)
	organizationsByID(ctx context.Context, ids []string) (listing[organizationRecord], error)
	membershipsOf(ctx context.Context, organizationID string, userIDs []string) (listing[membershipRecord], error)

	// instance returns the id of the Clerk instance.
	instance(ctx context.Context) (string, error)
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

	PublicMetadata json.RawMessage `json:"public_metadata"`
}

func (u *userJSON) record() userRecord {
	created := u.CreatedAt.time()
	r := userRecord{
		ID: u.ID, Username: u.Username, FirstName: u.FirstName, LastName: u.LastName, ExternalID: u.ExternalID,
		Banned: u.Banned, CreatedAt: &created, UpdatedAt: u.UpdatedAt.time(), PublicMetadata: u.PublicMetadata,
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

func (c clerkAPI) instance(ctx context.Context) (string, error) {
	var found struct {
		ID string `json:"id"`
	}
	err := c.get(ctx, "/instance", nil, &found)
	if err == nil && !isID(found.ID, "ins_") {
		err = &clerkauth.Error{Kind: clerkauth.Unavailable, Reason: clerkauth.ReasonInvalidResponse}
	}
	return found.ID, err
}

func (c clerkAPI) users(ctx context.Context, limit, offset int) (listing[userRecord], error) {
	return c.listUsers(ctx, page(limit, offset))
}

func (c clerkAPI) usersByID(ctx context.Context, ids []string) (listing[userRecord], error) {
	return c.listUsers(ctx, filtered("user_id", ids))
}

func (c clerkAPI) listUsers(ctx context.Context, query url.Values) (listing[userRecord], error) {
	var list []json.RawMessage
	err := c.get(ctx, "/users", query, &list)
	return decode(list, (*userJSON).record), err
}

func (c clerkAPI) organizations(ctx context.Context, limit, offset int) (listing[organizationRecord], error) {
	return listData(ctx, c, "/organizations", page(limit, offset), (*organizationJSON).record)
}

func (c clerkAPI) organizationsByID(ctx context.Context, ids []string) (listing[organizationRecord], error) {
	return listData(ctx, c, "/organizations", filtered("organization_id", ids), (*organizationJSON).record)
}

func (c clerkAPI) memberships(ctx context.Context, limit, offset int) (listing[membershipRecord], error) {
	return listData(ctx, c, "/organization_memberships", page(limit, offset), (*membershipJSON).record)
}

func (c clerkAPI) membershipsOf(ctx context.Context, organizationID string, userIDs []string) (listing[membershipRecord], error) {
	list, err := listData(ctx, c, "/organizations/"+url.PathEscape(organizationID)+"/memberships", filtered("user_id", userIDs), (*membershipJSON).record)
	if isNotFound(err) {
		err = nil
	}
	return list, err
}

func page(limit, offset int) url.Values {
	return url.Values{"limit": {strconv.Itoa(limit)}, "offset": {strconv.Itoa(offset)}, "order_by": {"+created_at"}}
}

func filtered(name string, ids []string) url.Values {
	return url.Values{name: ids, "limit": {strconv.Itoa(idsPerCall)}}
}

func listData[J any, R record](ctx context.Context, c clerkAPI, path string, query url.Values, record func(*J) R) (listing[R], error) {
	var list struct {
		Data []json.RawMessage `json:"data"`
	}
	err := c.get(ctx, path, query, &list)
	return decode(list.Data, record), err
}

// decode decodes each record by itself, so that an odd one does not stop others.
func decode[J any, R record](list []json.RawMessage, record func(*J) R) listing[R] {
	var all listing[R]
	for _, raw := range list {
		var one J
		err := json.Unmarshal(raw, &one)
		r := record(&one)
		id, _ := r.key()
		field := r.unstorable()
		if err != nil {
			wrong := new(json.UnmarshalTypeError)
			_ = errors.As(err, &wrong)
			field = cmp.Or(wrong.Field, "its JSON")
		}
		if field != "" {
			all.skipped = append(all.skipped, skip{id: id, field: field})
			continue
		}
		all.records = append(all.records, r)
	}
	return all
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
