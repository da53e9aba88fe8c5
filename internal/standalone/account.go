package standalone

import (
	"encoding/json"
	"net/http"

	"encore.dev/beta/errs"

	"encore.app/account/directory"
	"encore.app/auth/access"
	"encore.app/auth/clerkauth"
)

// maxSettingsBytes is the longest body of settings that is read.
const maxSettingsBytes = 64 << 10

// serveAccount serves the endpoints of the service account. Without a database
// (a nil store) they answer what to set.
func (s *server) serveAccount(store *directory.Store) {
	s.serve("GET /account", access.People, nil, func(r *http.Request, c *clerkauth.Caller) (any, error) {
		return store.Account(r.Context(), c)
	})
	s.serve("PUT /account/settings", access.People, nil, func(r *http.Request, c *clerkauth.Caller) (any, error) {
		var settings directory.Settings
		if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxSettingsBytes)).Decode(&settings); err != nil {
			return nil, &errs.Error{Code: errs.InvalidArgument, Message: "request body is not valid"}
		}
		return store.SaveSettings(r.Context(), c, &settings)
	})
	s.serve("GET /organization/members", access.People, directory.ToListMembers, func(r *http.Request, c *clerkauth.Caller) (any, error) {
		q := r.URL.Query()
		return store.Members(r.Context(), c, &directory.MembersParams{
			Limit: q.Get("limit"), Offset: q.Get("offset"), After: q.Get("after"), Q: q.Get("q"),
		})
	})
}
