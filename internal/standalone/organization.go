package standalone

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"encore.dev/beta/errs"

	"encore.app/auth/clerkauth"
	"encore.app/webhooks/clerkevent"
)

// Option adds a part of the contract to a [Handler].
type Option func(*door)

// Organization serves GET /organization, GET /organization/members and
// DELETE /organization/members/{userID}.
func Organization(members *clerkauth.Members) Option {
	return func(d *door) {
		d.mux.HandleFunc("GET /organization", d.authenticated(organization))
		d.mux.HandleFunc("GET /organization/members", d.authenticated(require(listMembers(d, members), clerkauth.Role("org:admin"))))
		d.mux.HandleFunc("DELETE /organization/members/{userID}",
			d.authenticated(require(removeMember(d, members), clerkauth.Role("org:admin"), clerkauth.Reverify(clerkauth.Strict))))
	}
}

// Webhooks serves POST /webhooks/clerk: events reach the authenticator without
// Pub/Sub between them. The secrets are those of [clerkevent.NewReceiver].
func Webhooks(signingSecrets string) (Option, error) {
	var target *door
	receiver, err := clerkevent.NewReceiver(signingSecrets,
		func(_ context.Context, event *clerkevent.Event) error {
			event.TellRevoker(target.authenticator)
			return nil
		},
		func(reason clerkevent.Reason, _ error) {
			if target.logger != nil {
				target.logger.Warn("webhook refused", "reason", reason)
			}
		})
	return func(d *door) {
		target = d
		d.mux.Handle("POST /webhooks/clerk", receiver)
	}, err
}

type endpoint = func(http.ResponseWriter, *http.Request, clerkauth.Caller)

// require is the service auth's Require.
func require(next endpoint, requirements ...clerkauth.Requirement) endpoint {
	return func(w http.ResponseWriter, r *http.Request, caller clerkauth.Caller) {
		var lacking *clerkauth.MissingError
		if !errors.As(caller.Require(requirements...), &lacking) {
			next(w, r, caller)
			return
		}
		missing := lacking.Requirement
		if hint, ok := missing.Hint(); ok {
			write(w, errs.PermissionDenied.HTTPStatus(), map[string]any{
				"code": errs.PermissionDenied.String(), "message": "verify again that it is you", "details": hint,
			})
			return
		}
		writeError(w, errs.PermissionDenied, "requires the "+missing.String())
	}
}

func organization(w http.ResponseWriter, _ *http.Request, caller clerkauth.Caller) {
	active := caller.Organization
	if active.ID == "" {
		writeError(w, errs.PermissionDenied, "no organization is active")
		return
	}
	write(w, http.StatusOK, map[string]any{
		"id": active.ID, "slug": active.Slug, "role": active.Role, "permissions": append([]string{}, active.Permissions...),
	})
}

func listMembers(d *door, members *clerkauth.Members) endpoint {
	return func(w http.ResponseWriter, r *http.Request, caller clerkauth.Caller) {
		limit, offset := 10, 0
		for name, into := range map[string]*int{"limit": &limit, "offset": &offset} {
			if text := r.URL.Query().Get(name); text != "" {
				value, err := strconv.Atoi(text)
				if err != nil {
					value = -1
				}
				*into = value
			}
		}
		if limit == 0 {
			limit = 10 // as if it was not there
		}
		if limit < 1 || limit > clerkauth.MaxMembersLimit || offset < 0 {
			writeError(w, errs.InvalidArgument, "limit must be from 1 to 100, and offset 0 or more")
			return
		}
		page, err := members.List(r.Context(), caller.Organization.ID, limit, offset)
		if err != nil {
			d.refuseMembers(w, err)
			return
		}
		list := make([]map[string]string, 0, len(page.Members))
		for _, m := range page.Members {
			list = append(list, map[string]string{
				"userId": m.UserID, "role": m.Role, "identifier": m.Identifier, "firstName": m.FirstName, "lastName": m.LastName,
			})
		}
		write(w, http.StatusOK, map[string]any{"members": list, "total": page.Total})
	}
}

func removeMember(d *door, members *clerkauth.Members) endpoint {
	return func(w http.ResponseWriter, r *http.Request, caller clerkauth.Caller) {
		if err := members.Remove(r.Context(), caller.Organization.ID, r.PathValue("userID")); err != nil {
			d.refuseMembers(w, err)
			return
		}
		w.WriteHeader(http.StatusOK)
	}
}

func (d *door) refuseMembers(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, clerkauth.ErrNotFound):
		writeError(w, errs.NotFound, "no such member")
	case errors.Is(err, clerkauth.ErrLastAdministrator):
		writeError(w, errs.FailedPrecondition, "an organization needs an admin")
	default:
		d.refuse(w, clerkauth.AsError(err))
	}
}
