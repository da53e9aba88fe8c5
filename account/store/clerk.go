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
	"encore.app/webhooks/clerkevent"
)

// pageSize is the most records that Clerk lists at once.
const pageSize = 500

// idsPerCall is the most ids that Clerk takes as a filter.
const idsPerCall = 100

// clerkLists are the calls of a reconciliation to the Backend API. Lists are
// sorted by creation time, the oldest first.
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

// clerkAPI calls Clerk's Backend API. It decodes only what is stored, so that a
// surprise in another field does no harm.
type clerkAPI struct{ backend clerk.Backend }

// epoch stands for a time that Clerk does not say.
var epoch = time.Unix(0, 0)

func listedUser(data []byte) (userRecord, error) {
	u, err := clerkevent.DecodeUser(data)
	if err != nil {
		return userRecord{}, err
	}
	u.CreatedAt = cmp.Or(u.CreatedAt, epoch)
	return userOf(u, epoch), nil
}

func listedOrganization(data []byte) (organizationRecord, error) {
	o, err := clerkevent.DecodeOrganization(data)
	if err != nil {
		return organizationRecord{}, err
	}
	o.CreatedAt = cmp.Or(o.CreatedAt, epoch)
	return organizationOf(o, epoch), nil
}

func listedMembership(data []byte) (membershipRecord, error) {
	m, err := clerkevent.DecodeMembership(data)
	if err != nil {
		return membershipRecord{}, err
	}
	return membershipOf(m, epoch), nil
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
	return decode(list, listedUser), err
}

func (c clerkAPI) organizations(ctx context.Context, limit, offset int) (listing[organizationRecord], error) {
	return listData(ctx, c, "/organizations", page(limit, offset), listedOrganization)
}

func (c clerkAPI) organizationsByID(ctx context.Context, ids []string) (listing[organizationRecord], error) {
	return listData(ctx, c, "/organizations", filtered("organization_id", ids), listedOrganization)
}

func (c clerkAPI) memberships(ctx context.Context, limit, offset int) (listing[membershipRecord], error) {
	return listData(ctx, c, "/organization_memberships", page(limit, offset), listedMembership)
}

func (c clerkAPI) membershipsOf(ctx context.Context, organizationID string, userIDs []string) (listing[membershipRecord], error) {
	list, err := listData(ctx, c, "/organizations/"+url.PathEscape(organizationID)+"/memberships", filtered("user_id", userIDs), listedMembership)
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

func listData[R record](ctx context.Context, c clerkAPI, path string, query url.Values, record func([]byte) (R, error)) (listing[R], error) {
	var list struct {
		Data []json.RawMessage `json:"data"`
	}
	err := c.get(ctx, path, query, &list)
	return decode(list.Data, record), err
}

// decode decodes each record by itself, so that an odd one does not stop others.
func decode[R record](list []json.RawMessage, record func([]byte) (R, error)) listing[R] {
	var all listing[R]
	for _, raw := range list {
		r, err := record(raw)
		field := r.unstorable()
		if err != nil {
			wrong := new(clerkevent.FieldError)
			_ = errors.As(err, &wrong)
			field = cmp.Or(wrong.Field, "its JSON")
		}
		if field == "" {
			all.records = append(all.records, r)
			continue
		}
		var named struct {
			ID string `json:"id"`
		}
		_ = json.Unmarshal(raw, &named)
		all.skipped = append(all.skipped, skip{id: named.ID, field: field})
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
