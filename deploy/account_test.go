package deploy

import (
	"errors"
	"net/url"
	"os"
	"os/exec"
	"testing"

	"github.com/jackc/pgx/v5"

	"encore.app/account/store"
	"encore.app/internal/postgres"
)

func TestTheRoleOwnsItsDatabaseAndNoMore(t *testing.T) {
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("psql is not on PATH")
	}
	server, err := postgres.Start(t.Context())
	if errors.Is(err, postgres.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	// As the image's entrypoint runs it.
	command := exec.CommandContext(t.Context(), psql, "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-d", server.URL(), "-f", "account.sql")
	command.Env = append(os.Environ(), "DATABASE_PASSWORD=it's")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	address, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	address.User, address.Path = url.UserPassword("account", "it's"), "/account"
	connection, err := pgx.Connect(t.Context(), address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(t.Context())
	var powers bool
	if err := connection.QueryRow(t.Context(), `
		SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls
			OR EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid)
		FROM pg_roles r WHERE rolname = current_user`).Scan(&powers); err != nil || powers {
		t.Errorf("the role may do more: %v %v", powers, err)
	}
	users, err := store.Open(address.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer users.Close()
	if _, err := users.Users(t.Context(), &store.UserIDs{IDs: []string{"user_ada"}}); err != nil {
		t.Errorf("the service cannot make its tables")
	}
}
