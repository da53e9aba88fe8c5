package standalone

import (
	"encore.app/account/directory"
	"encore.app/auth/access"
)

// serveAccount serves the endpoints of the service account. Without a database
// (a nil store) they answer what to set.
func (s *server) serveAccount(store *directory.Store) {
	s.serve("GET /account", access.People, nil, func(r request, c caller) (any, error) { return store.Account(r.Context(), c) })
	s.serve("PUT /account/settings", access.People, nil, func(r request, c caller) (any, error) {
		settings, err := directory.ReadSettings(r.Body)
		if err != nil {
			return nil, err
		}
		return store.SaveSettings(r.Context(), c, settings)
	})
	s.serve("GET /organization/members", access.People, directory.ToListMembers, func(r request, c caller) (any, error) {
		q := r.URL.Query().Get
		return store.Members(r.Context(), c, &directory.MembersParams{Limit: q("limit"), Offset: q("offset"), After: q("after"), Q: q("q")})
	})
}
