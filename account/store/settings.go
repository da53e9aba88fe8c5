package store

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strings"
	"time"
	_ "time/tzdata" // an image may contain no time zones
	"unicode"
	"unicode/utf8"

	"encore.dev/beta/errs"
	"github.com/jackc/pgx/v5"
	"golang.org/x/text/language"

	"encore.app/auth/clerkauth"
)

// Settings are what users choose for themselves in this application. To save
// them, send all of them: one that is left out is emptied, and without a theme
// nothing is saved.
type Settings struct {
	// Version counts the changes, from 0 for settings that were never saved. To
	// save settings, send the version that they are based on.
	Version int `json:"version"`
	// DisplayName is what others see, at most 100 characters.
	DisplayName string `json:"displayName" encore:"sensitive"`
	// Locale is a BCP 47 language tag such as "de-CH", or "".
	Locale string `json:"locale"`
	// TimeZone is a name of the IANA database such as "Europe/Zurich", or "".
	TimeZone string `json:"timeZone"`
	// Theme is "system", "light" or "dark". It is "system" for a user who has
	// saved no settings.
	Theme string `json:"theme"`
}

// maxBody is the longest body that ReadSettings reads, in bytes. Encore has no
// limit: set one in the balancer.
const maxBody = 1 << 20

// ReadSettings reads the body of a request to save settings, for servers other
// than Encore.
func ReadSettings(body io.Reader) (*Settings, error) {
	content, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	settings := new(Settings)
	if err != nil || len(content) > maxBody || json.Unmarshal(content, settings) != nil {
		return nil, invalid("the body must be a JSON object of settings, at most 1 MiB")
	}
	return settings, nil
}

const (
	defaultTheme          = "system"
	maxDisplayNameLength  = 100 // characters
	maxLocaleLength       = 35  // RFC 5646, section 4.4.1
	maxTimeZoneNameLength = 64
)

// validate returns the settings in their canonical form, or an error that names
// every field that is invalid.
func (s Settings) validate() (Settings, error) {
	var refused invalidFields
	s.DisplayName = strings.TrimSpace(s.DisplayName)
	if utf8.RuneCountInString(s.DisplayName) > maxDisplayNameLength || !utf8.ValidString(s.DisplayName) ||
		strings.ContainsFunc(s.DisplayName, unicode.IsControl) {
		refused.add("displayName", "must be at most 100 characters, without control characters")
	}
	if s.Locale != "" {
		tag, err := language.Parse(s.Locale[:min(len(s.Locale), maxLocaleLength+1)])
		if err != nil || len(s.Locale) > maxLocaleLength {
			refused.add("locale", "must be a BCP 47 language tag such as de-CH")
		}
		s.Locale = tag.String()
	}
	if s.TimeZone != "" {
		_, err := time.LoadLocation(s.TimeZone[:min(len(s.TimeZone), maxTimeZoneNameLength)])
		if err != nil || s.TimeZone == "Local" || len(s.TimeZone) > maxTimeZoneNameLength {
			refused.add("timeZone", "must be a name of the IANA time zone database such as Europe/Zurich")
		}
	}
	// A body that holds no settings at all reaches this function with all of them
	// empty: Encore takes it for an object without fields.
	if s.Theme != "system" && s.Theme != "light" && s.Theme != "dark" {
		refused.add("theme", "must be system, light or dark")
	}
	if s.Version < 0 || s.Version >= math.MaxInt32 {
		refused.add("version", "must be the version that the settings are based on, 0 if they were never saved")
	}
	return s, refused.err()
}

// invalidFields are the details of an error, by which a form shows each problem
// at its field.
type invalidFields struct {
	Fields   map[string]string `json:"fields"`
	messages []string
}

// ErrDetails implements [errs.ErrDetails].
func (invalidFields) ErrDetails() {}

func (f *invalidFields) add(field, problem string) {
	if f.Fields == nil {
		f.Fields = make(map[string]string)
	}
	f.Fields[field] = problem
	f.messages = append(f.messages, field+" "+problem)
}

func (f *invalidFields) err() error {
	if len(f.messages) == 0 {
		return nil
	}
	return &errs.Error{Code: errs.InvalidArgument, Message: strings.Join(f.messages, "; "), Details: *f}
}

func invalid(message string) error {
	return &errs.Error{Code: errs.InvalidArgument, Message: message}
}

// SaveSettings replaces the caller's settings and returns them with their new
// version. If they changed since the version that the caller knows, the error
// has the code Aborted (409), and the caller reads them again.
func (s *Store) SaveSettings(ctx context.Context, caller *clerkauth.Caller, settings *Settings) (*Settings, error) {
	if caller.UserID == "" {
		return nil, errNoUser()
	}
	valid, err := settings.validate()
	if err != nil {
		return nil, err
	}
	err = s.use(ctx, requestTimeout, func(ctx context.Context) error {
		// The row of the user is there, and the user is not deleted.
		if _, err := s.account(ctx, caller); err != nil {
			return err
		}
		return s.saveSettings(ctx, caller.UserID, &valid)
	})
	if err != nil {
		return nil, err
	}
	return &valid, nil
}

func (s *Store) saveSettings(ctx context.Context, userID string, settings *Settings) error {
	// The row of users is locked against a deletion that would leave settings
	// behind.
	err := s.pool.QueryRow(ctx, `
		WITH live AS (SELECT id FROM users WHERE id = $1 AND deleted_at IS NULL FOR SHARE)
		INSERT INTO settings AS old (user_id, version, display_name, locale, time_zone, theme)
		SELECT id, $2::int + 1, $3, $4, $5, $6 FROM live
		WHERE $2 = 0 OR EXISTS (SELECT FROM settings WHERE user_id = $1)
		ON CONFLICT (user_id) DO UPDATE SET version = excluded.version, display_name = excluded.display_name,
			locale = excluded.locale, time_zone = excluded.time_zone, theme = excluded.theme, stored_at = clock_timestamp()
		WHERE old.version = $2
		RETURNING version`,
		userID, settings.Version, settings.DisplayName, settings.Locale, settings.TimeZone, settings.Theme).Scan(&settings.Version)
	if errors.Is(err, pgx.ErrNoRows) {
		return &errs.Error{Code: errs.Aborted, Message: "the settings have changed since that version: read them again"}
	}
	return err
}
