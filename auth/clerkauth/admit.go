package clerkauth

import "time"

// AdmitUser ends what [Authenticator.RefuseUser] began, for a user of whom no
// more is known than that they are not banned.
//
// Deprecated: use [Authenticator.StoreUser], which keeps what the event says.
func (a *Authenticator) AdmitUser(userID string, at time.Time) {
	a.refusals.set(userID, false, at)
	a.users.cache.Invalidate(userID)
}
