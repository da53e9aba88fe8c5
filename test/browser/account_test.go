package browser

import (
	"testing"

	"encore.app/account/store"
	"encore.app/internal/postgres/postgrestest"
	"encore.app/internal/standalone"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

func init() { extend = addAccount }

// addAccount returns the service account. Without PostgreSQL the backend says so,
// and the tests that need the database are skipped.
func addAccount(t *testing.T) []standalone.Extension {
	t.Helper()
	database := postgrestest.DatabaseIfAny(t)
	if database == "" {
		return []standalone.Extension{standalone.Account(nil)}
	}
	users, err := store.Open(database, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(users.Close)
	return []standalone.Extension{standalone.Account(users)}
}
