package usercache

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/user"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"encore.app/auth/clerkauth/internal/batch"
	"encore.app/auth/clerkauth/internal/clerkapi"
)

// Fetch loads users from Clerk with one call. A list leaves out users that
// Clerk does not have, and does not promise to be complete. Only a call for one
// user tells that Clerk does not have the user.
func Fetch(client *clerkapi.Client, ids []string, now time.Time) (found map[string]batch.Result[Record], err error) {
	path, timeout, params := "/users", clerkapi.LoadTimeout, &user.ListParams{UserIDs: ids, ListParams: clerk.ListParams{Limit: clerk.Int64(100)}}
	if len(ids) == 1 {
		timeout = clerkapi.CallTimeout
		if path, err = clerk.JoinPath("/users", ids[0]); err != nil {
			return nil, err
		}
	}
	req := clerk.NewAPIRequest(http.MethodGet, path)
	if len(ids) > 1 {
		req.SetParams(params)
	}
	var body clerkapi.Raw
	err = client.Call(context.Background(), timeout, req, &body)
	found = map[string]batch.Result[Record]{}
	switch {
	case len(ids) == 1 && clerkapi.IsNotFound(err):
		found[ids[0]] = result(Record{Refusal: Unknown, UpdatedAt: now}, nil, now)
	case err != nil:
		return nil, err
	case len(ids) == 1:
		id, record, err := parse(jsontext.Value(body))
		if err != nil || id != ids[0] {
			return nil, errUnreadable
		}
		found[id] = result(record, nil, now)
	default:
		var list []jsontext.Value
		if json.Unmarshal(body, &list, lenient) != nil {
			return nil, errUnreadable
		}
		for _, raw := range list {
			id, record, err := parse(raw)
			found[id] = result(record, err, now)
		}
	}
	return found, nil
}

func result(r Record, err error, checkedAt time.Time) batch.Result[Record] {
	r.CheckedAt, r.RefusalCoversTokensUntil = checkedAt, checkedAt
	return batch.Result[Record]{Value: r, Err: err}
}

// clerkUser is the part of Clerk's User that is used. Nothing else is decoded,
// so that a surprise in it costs nothing.
type clerkUser struct {
	ID                    string  `json:"id"`
	Banned                bool    `json:"banned"`
	PrimaryEmailAddressID *string `json:"primary_email_address_id"`
	EmailAddresses        []struct {
		ID           string `json:"id"`
		EmailAddress string `json:"email_address"`
		Verification *struct {
			Status string `json:"status"`
		} `json:"verification"`
	} `json:"email_addresses"`
	UpdatedAt int64 `json:"updated_at"`
}

var errUnreadable = &clerkapi.Error{Class: clerkapi.InvalidResponse, Cause: errors.New("a user that cannot be read")}

var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// parse reads one user. With an error, the id is returned if it can be read.
func parse(raw jsontext.Value) (id string, record Record, err error) {
	var found clerkUser
	if err := json.Unmarshal(raw, &found, lenient); err != nil {
		var only struct {
			ID string `json:"id"`
		}
		_ = json.Unmarshal(raw, &only, lenient)
		return only.ID, Record{}, errUnreadable
	}
	record.UpdatedAt = clerkapi.UnixTime(found.UpdatedAt)
	if found.Banned {
		record.Refusal = Banned
		return found.ID, record, nil
	}
	for _, address := range found.EmailAddresses {
		if primary := found.PrimaryEmailAddressID; primary != nil && address.ID == *primary {
			record.PrimaryEmail = address.EmailAddress
			record.EmailVerified = address.Verification != nil && address.Verification.Status == "verified"
			break
		}
	}
	return found.ID, record, nil
}
