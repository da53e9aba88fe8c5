package browser

import (
	"testing"

	"encore.app/account/store"
	"encore.app/internal/postgres/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// openStore returns the database of the standalone handler. It returns nil where
// there is no PostgreSQL: then the backend says so, and the tests that need the
// database are skipped.
func openStore(t *testing.T) *store.Store {
	t.Helper()
	database := postgrestest.DatabaseIfAny(t)
	if database == "" {
		return nil
	}
	users, err := store.Open(database, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(users.Close)
	return users
}
