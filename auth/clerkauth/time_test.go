package clerkauth_test

import (
	"testing"
	"time"

	"encore.app/auth/clerkauth"
)

func TestUnixTime(t *testing.T) {
	for date, want := range map[int64]string{
		0:             "1970-01-01T00:00:00Z",
		1654012591:    "2022-05-31T15:56:31Z",
		1654012591514: "2022-05-31T15:56:31.514Z",
		99999999999:   "5138-11-16T09:46:39Z",
		100000000000:  "1973-03-03T09:46:40Z",
	} {
		if got := clerkauth.UnixTime(date).Format(time.RFC3339Nano); got != want {
			t.Errorf("%d: %s, want %s", date, got, want)
		}
	}
}
