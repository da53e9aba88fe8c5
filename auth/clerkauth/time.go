package clerkauth

import "time"

// firstMilliseconds is March 1973 in milliseconds, and the year 5138 in seconds.
const firstMilliseconds = 1e11

// UnixTime returns the time of a date in Clerk's JSON, a number since 1970.
// Clerk counts milliseconds, and seconds in OAuth access tokens and in some
// published examples of webhooks. Dates before March 1973 are read as seconds.
func UnixTime(date int64) time.Time {
	if date < firstMilliseconds {
		return time.Unix(date, 0).UTC()
	}
	return time.UnixMilli(date).UTC()
}
