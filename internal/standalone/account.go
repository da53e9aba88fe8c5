package standalone

import (
	"encore.app/account/store"
	"encore.app/auth/authz"
	"encore.app/webhooks/clerkevent"
)

// Account adds the service account. Without a database (users is nil) its
// endpoints answer what to set.
func Account(users *store.Store) Extension {
	return func(s *server) clerkevent.Handler {
		s.serveAccount(users)
		return users.Apply
	}
}

func (s *server) serveAccount(users *store.Store) {
	s.serve("GET /account", authz.DefaultTokenTypes, nil, func(r request, c caller) (any, error) { return users.Account(r.Context(), c) })
	s.serve("PUT /account/settings", authz.DefaultTokenTypes, nil, func(r request, c caller) (any, error) {
		settings, err := store.ReadSettings(r.Body)
		if err != nil {
			return nil, err
		}
		return users.SaveSettings(r.Context(), c, settings)
	})
	s.serve("GET /organization/members", authz.DefaultTokenTypes, store.ToListMembers, func(r request, c caller) (any, error) {
		q := r.URL.Query().Get
		return users.Members(r.Context(), c, &store.MembersParams{Limit: q("limit"), Offset: q("offset"), After: q("after"), Q: q("q")})
	})
}
