package clerkevent_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"encore.app/webhooks/clerkevent"
)

// A receiver verifies what is posted to it. It answers Clerk with a success only
// when the function that it calls with the event returns nil: otherwise Clerk
// sends the event again.
func ExampleReceiver() {
	const signingSecret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	receiver, err := clerkevent.NewReceiver(signingSecret,
		func(_ context.Context, event *clerkevent.Event) error {
			fmt.Println(event.Type, event.Subject)
			return nil
		},
		slog.Default()) // tells why a webhook was refused
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /webhooks/clerk", receiver)

	// Clerk posts an event and signs it as Svix does.
	body := `{"type":"user.deleted","timestamp":1764000000000,"data":{"id":"user_ada","deleted":true}}`
	now := time.Now()
	signer, err := standardwebhooks.NewWebhook(strings.TrimPrefix(signingSecret, "whsec_"))
	if err != nil {
		panic(err)
	}
	signature, err := signer.Sign("msg_1", now, []byte(body))
	if err != nil {
		panic(err)
	}
	request := httptest.NewRequest(http.MethodPost, "/webhooks/clerk", strings.NewReader(body))
	request.Header.Set("svix-id", "msg_1")
	request.Header.Set("svix-timestamp", strconv.FormatInt(now.Unix(), 10))
	request.Header.Set("svix-signature", signature)
	response := httptest.NewRecorder()
	mux.ServeHTTP(response, request)
	fmt.Println(response.Code < 300)

	// Output:
	// user.deleted user_ada
	// true
}
