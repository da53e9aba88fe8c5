package clerkevent_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"encore.app/fakeclerk"
	"encore.app/webhooks/clerkevent"
)

// The payloads have the fields that @clerk/backend documents for them
// (api/resources/JSON.ts and Webhooks.ts), in the shapes of Clerk's examples.
func TestRecordsOfEachFamily(t *testing.T) {
	const item = `{"id":"csi_1","object":"subscription_item","status":"active","plan_period":"month","period_start":1795400000000,"period_end":null,
		"proration_date":"2026-11-20","amount":{"amount":1900,"amount_formatted":"19.00","currency":"USD","currency_symbol":"$"},
		"plan":{"id":"cplan_1","slug":"pro","amount":1900,"period":"month"},"payer":{"id":"cpayer_1","user_id":"user_ada","email":"ada@example.com"}}`
	at := time.UnixMilli(1795400000000).UTC()
	anItem := clerkevent.SubscriptionItem{
		ID: "csi_1", Status: "active", PlanID: "cplan_1", PlanSlug: "pro", PlanPeriod: "month", PeriodStart: at,
		Amount: clerkevent.Money{Amount: 1900, Currency: "USD"}, Payer: clerkevent.Payer{UserID: "user_ada"},
	}
	for _, test := range []struct {
		eventType clerkevent.Type
		data      string
		want      clerkevent.Event
	}{
		{clerkevent.SessionCreated, `{"id":"sess_1","user_id":"user_ada","status":"active","actor":null,"user":null}`,
			clerkevent.Event{Subject: "user_ada", Session: &clerkevent.Session{ID: "sess_1", UserID: "user_ada"}}},
		{clerkevent.InvitationAccepted, `{"id":"orginv_1","organization_id":"org_1","email_address":"ada@example.com","role":"org:member","role_name":"Member","status":"accepted","user_id":"user_ada","public_metadata":{},"url":null,"expires_at":1795400000000}`,
			clerkevent.Event{Subject: "org_1", Invitation: &clerkevent.Invitation{ID: "orginv_1", OrganizationID: "org_1", EmailAddress: "ada@example.com", Role: "org:member", Status: "accepted", UserID: "user_ada", ExpiresAt: at}}},
		{clerkevent.RoleUpdated, `{"id":"role_1","key":"org:editor","name":"Editor","description":null,"is_creator_eligible":false,"permissions":[{"id":"perm_1","key":"org:teams:read"},{"id":"perm_2","key":"org:teams:manage"}]}`,
			clerkevent.Event{Subject: "role_1", Role: &clerkevent.Role{ID: "role_1", Key: "org:editor", Name: "Editor", Permissions: []string{"org:teams:read", "org:teams:manage"}}}},
		{clerkevent.RoleDeleted, `{"id":"role_1","object":"role","deleted":true}`,
			clerkevent.Event{Subject: "role_1", Role: &clerkevent.Role{ID: "role_1"}}},
		{clerkevent.PermissionCreated, `{"id":"perm_1","key":"org:teams:read","name":"Read","description":"See teams"}`,
			clerkevent.Event{Subject: "perm_1", Permission: &clerkevent.Permission{ID: "perm_1", Key: "org:teams:read", Name: "Read", Description: "See teams"}}},
		{clerkevent.SubscriptionItemActive, item, clerkevent.Event{Subject: "user_ada", SubscriptionItem: &anItem}},
		{clerkevent.SubscriptionPastDue, `{"id":"csub_1","status":"past_due","payer_id":"cpayer_1","payer":{"organization_id":"org_1","user_id":null},"items":[` + item + `],"past_due_at":1795400000000}`,
			clerkevent.Event{Subject: "org_1", Subscription: &clerkevent.Subscription{ID: "csub_1", Status: "past_due", Payer: clerkevent.Payer{OrganizationID: "org_1"}, Items: []clerkevent.SubscriptionItem{anItem}, PastDueAt: at}}},
		{clerkevent.PaymentAttemptUpdated, `{"id":"cpa_1","payment_id":"cpay_1","status":"failed","charge_type":"recurring","failed_reason":{"code":"card_declined","decline_code":"insufficient_funds"},"payer":{"user_id":"user_ada"},"totals":{"grand_total":{"amount":1900,"currency":"USD"}},"failed_at":1795400000000,"subscription_items":[]}`,
			clerkevent.Event{Subject: "user_ada", PaymentAttempt: &clerkevent.PaymentAttempt{ID: "cpa_1", PaymentID: "cpay_1", Status: "failed", ChargeType: "recurring", FailureCode: "card_declined", Amount: clerkevent.Money{Amount: 1900, Currency: "USD"}, Payer: clerkevent.Payer{UserID: "user_ada"}, FailedAt: at}}},
		{clerkevent.UserUpdated, `{"id":"user_ada","public_metadata":{"role":"admin"}}`,
			clerkevent.Event{Subject: "user_ada", User: &clerkevent.User{ID: "user_ada", PublicMetadata: []byte(`{"role":"admin"}`)}}},
		{clerkevent.UserUpdated, `{"id":"user_ada","public_metadata":null}`,
			clerkevent.Event{Subject: "user_ada", User: &clerkevent.User{ID: "user_ada"}}},
	} {
		r := newReceiver(t, fakeSecret)
		clerk := startClerk(t, fakeclerk.Options{})
		body := []byte(`{"type":"` + string(test.eventType) + `","timestamp":1795400000000,"data":` + test.data + `}`)
		if status := r.send(t, body, clerk.SignWebhook("msg_1", time.Now(), body)); status != 204 || len(r.reported) != 0 {
			t.Fatalf("%s: got %d, reported %v", test.eventType, status, r.last)
		}
		test.want.ID, test.want.Type, test.want.At, test.want.Data = "msg_1", test.eventType, at, []byte(test.data)
		if diff := cmp.Diff(test.want, *next(t, r.handled)); diff != "" {
			t.Errorf("%s: -want +got\n%s", test.eventType, diff)
		}
	}
}
