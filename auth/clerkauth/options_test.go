package clerkauth_test

import (
	"reflect"
	"testing"

	"encore.app/auth/clerkauth"
)

func TestReadEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		"CLERK_SECRET_KEY": "sk_test_x", "CLERK_API_URL": "http://127.0.0.1:1", "CLERK_AUTHORIZED_PARTIES": "http://a.example, http://b.example",
		"CLERK_ISSUER": "", "CLERK_JWT_KEY": "pem\n",
	} {
		t.Setenv(name, value)
	}
	got := clerkauth.Options{SecretKey: "sk_live_y", Issuer: "https://clerk.example.com", UserMaxAge: 5}
	got.ReadEnvironment()
	want := clerkauth.Options{
		SecretKey: "sk_test_x", JWTKey: "pem", APIURL: "http://127.0.0.1:1", UserMaxAge: 5, Issuer: "https://clerk.example.com", // the variable is empty
		AuthorizedParties: []string{"http://a.example", "http://b.example"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}
