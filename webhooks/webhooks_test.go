//go:build encore_local

// These tests need Encore's runtime: encore test ./...

package webhooks

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"encore.dev/et"

	"encore.app/internal/fakeclerk"
	"encore.app/webhooks/clerkevent"
)

func TestWebhookIsPublished(t *testing.T) {
	clerk, err := fakeclerk.Start(fakeclerk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer clerk.Close()
	body := []byte(`{"type":"user.deleted","timestamp":1795400000000,"data":{"id":"user_ada"}}`)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		name      string
		secrets   string
		ctx       context.Context
		header    http.Header
		want      int
		published int
	}{
		{"no secret is set", "", t.Context(), clerk.SignWebhook("msg_1", time.Now(), body), http.StatusInternalServerError, 0},
		{"unsigned", clerk.WebhookSigningSecret(), t.Context(), http.Header{}, http.StatusBadRequest, 0},
		{"publishing fails", clerk.WebhookSigningSecret(), ended, clerk.SignWebhook("msg_1", time.Now(), body), http.StatusServiceUnavailable, 0},
		{"sent again", clerk.WebhookSigningSecret(), t.Context(), clerk.SignWebhook("msg_1", time.Now(), body), http.StatusNoContent, 1},
		{"and again", clerk.WebhookSigningSecret(), t.Context(), clerk.SignWebhook("msg_1", time.Now(), body), http.StatusNoContent, 2},
	} {
		t.Setenv("CLERK_WEBHOOK_SIGNING_SECRET", test.secrets)
		service, err := initService()
		if err != nil {
			t.Fatal(err)
		}
		request := httptest.NewRequestWithContext(test.ctx, http.MethodPost, "/webhooks/clerk", bytes.NewReader(body))
		request.Header = test.header
		recorder := httptest.NewRecorder()
		service.Clerk(recorder, request)
		published := et.Topic(Events).PublishedMessages()
		if recorder.Code != test.want || recorder.Body.Len() > 0 || len(published) != test.published {
			t.Errorf("%s: got %d %s, %d published", test.name, recorder.Code, recorder.Body, len(published))
		}
		for _, e := range published {
			if e.ID != "msg_1" || e.Type != clerkevent.UserDeleted || e.Subject != "user_ada" || e.User.ID != "user_ada" {
				t.Errorf("%+v", e)
			}
		}
	}
}

func TestRefusesToStart(t *testing.T) {
	t.Setenv("CLERK_WEBHOOK_SIGNING_SECRET", "sk_test_x")
	if _, err := initService(); err == nil {
		t.Error("starts with a signing secret that is none")
	}
}
