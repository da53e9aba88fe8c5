package clerkapi

import "time"

// firstMilliseconds is March 1973 in milliseconds, and the year 5138 in seconds.
const firstMilliseconds = 1e11

// UnixTime returns the time of a date in Clerk's JSON: see clerkauth.UnixTime.
func UnixTime(date int64) time.Time {
	if date < firstMilliseconds {
		return time.Unix(date, 0).UTC()
	}
	return time.UnixMilli(date).UTC()
}
