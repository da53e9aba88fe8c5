package clerkauth

import (
	"time"

	"encore.app/auth/clerkauth/internal/clerkapi"
)

// UnixTime returns the time of a date in Clerk's JSON, a number since 1970.
// Clerk counts milliseconds, and seconds in OAuth access tokens and in some
// published examples of webhooks. Dates before March 1973 are read as seconds.
func UnixTime(date int64) time.Time { return clerkapi.UnixTime(date) }
