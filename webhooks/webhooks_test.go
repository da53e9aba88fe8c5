//go:build encore_local

// These tests need Encore's runtime: encore test ./...

package webhooks

import (
	"bytes"
	"context"
	"errors"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"encore.dev/et"

	"encore.app/auth"
	"encore.app/fakeclerk"
)

var clerk *fakeclerk.Server

func TestMain(m *testing.M) {
	var err error
	if clerk, err = fakeclerk.Start(fakeclerk.Options{}); err != nil {
		log.Fatal(err)
	}
	os.Setenv("CLERK_API_URL", clerk.URL())
	os.Setenv("CLERK_SECRET_KEY", clerk.SecretKey())
	code := m.Run()
	clerk.Close()
	os.Exit(code)
}

func TestClerk(t *testing.T) {
	body := []byte(`{"type":"user.deleted","timestamp":1795400000000,"data":{"id":"user_ada"}}`)
	var failure error
	et.MockEndpoint(auth.UserDeleted, func(_ context.Context, user *auth.Ended) error {
		if user.ID != "user_ada" {
			t.Errorf("deleted %q", user.ID)
		}
		return failure
	})
	for _, test := range []struct {
		name    string
		secrets string
		header  http.Header
		failure error
		want    int
	}{
		{"no secret is set", "", clerk.SignWebhook("msg_1", time.Now(), body), nil, http.StatusInternalServerError},
		{"unsigned", clerk.WebhookSigningSecret(), http.Header{}, nil, http.StatusBadRequest},
		{"a service fails", clerk.WebhookSigningSecret(), clerk.SignWebhook("msg_1", time.Now(), body), errors.New("no database"), http.StatusServiceUnavailable},
		{"sent again", clerk.WebhookSigningSecret(), clerk.SignWebhook("msg_1", time.Now(), body), nil, http.StatusNoContent},
		{"and again", clerk.WebhookSigningSecret(), clerk.SignWebhook("msg_1", time.Now(), body), nil, http.StatusNoContent},
	} {
		failure = test.failure
		t.Setenv("CLERK_WEBHOOK_SIGNING_SECRET", test.secrets)
		service, err := initService()
		if err != nil {
			t.Fatal(err)
		}
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhooks/clerk", bytes.NewReader(body))
		request.Header = test.header
		recorder := httptest.NewRecorder()
		service.Clerk(recorder, request)
		if recorder.Code != test.want || recorder.Body.Len() > 0 {
			t.Errorf("%s: got %d %s", test.name, recorder.Code, recorder.Body)
		}
	}
}

func TestRefusesToStart(t *testing.T) {
	t.Setenv("CLERK_WEBHOOK_SIGNING_SECRET", "sk_test_x")
	if _, err := initService(); err == nil {
		t.Error("starts with a signing secret that is none")
	}
}
