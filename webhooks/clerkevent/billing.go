package clerkevent

import "time"

// Subscription is all that a user or an organization pays for, as of the event.
// Clerk calls Billing a beta: what else it says is in [Event].Data.
type Subscription struct {
	ID     string // csub_…
	Status string // such as active, past_due, canceled
	Payer  Payer
	Items  []SubscriptionItem

	ActiveAt   time.Time // zero unless it happened, as are the next ones
	PastDueAt  time.Time
	CanceledAt time.Time
	EndedAt    time.Time
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// SubscriptionItem is a plan that a user or an organization pays for, as of the
// event.
type SubscriptionItem struct {
	ID         string // csi_…
	Status     string // such as active, upcoming, canceled, ended
	PlanID     string // cplan_…
	PlanSlug   string // as in the claim pla, and in [clerkauth.Plan]
	PlanPeriod string // month or annual
	Amount     Money
	Payer      Payer // zero in an event of a subscription, which has it itself

	PeriodStart time.Time
	PeriodEnd   time.Time // zero for a plan without end
	CanceledAt  time.Time // zero unless it happened, as is the next one
	PastDueAt   time.Time
}

// PaymentAttempt is an attempt to collect a payment, as of the event.
type PaymentAttempt struct {
	ID         string
	PaymentID  string
	Status     string // pending, paid or failed
	ChargeType string // checkout or recurring
	Amount     Money  // with tax
	Payer      Payer
	// FailureCode is why the attempt failed, in the words of the payment provider.
	FailureCode string
	Items       []SubscriptionItem

	PaidAt    time.Time // zero unless it happened, as is the next one
	FailedAt  time.Time
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Payer is who pays: a user, or an organization.
type Payer struct {
	UserID         string
	OrganizationID string
}

// subject is the id of the payer.
func (p Payer) subject() string {
	if p.OrganizationID != "" {
		return p.OrganizationID
	}
	return p.UserID
}

// Money is an amount in the smallest unit of its currency, such as cents.
type Money struct {
	Amount   int64
	Currency string
}

type payerJSON struct {
	UserID         string `json:"user_id"`
	OrganizationID string `json:"organization_id"`
}

type moneyJSON struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

type itemJSON struct {
	ID         string    `json:"id"`
	Status     string    `json:"status"`
	PlanID     string    `json:"plan_id"`
	PlanPeriod string    `json:"plan_period"`
	Amount     moneyJSON `json:"amount"`
	Payer      payerJSON `json:"payer"`
	Plan       struct {
		ID   string `json:"id"`
		Slug string `json:"slug"`
	} `json:"plan"`
	PeriodStart instant `json:"period_start"`
	PeriodEnd   instant `json:"period_end"`
	CanceledAt  instant `json:"canceled_at"`
	PastDueAt   instant `json:"past_due_at"`
}

func (i *itemJSON) item() SubscriptionItem {
	item := SubscriptionItem{
		ID: i.ID, Status: i.Status, PlanID: i.PlanID, PlanSlug: i.Plan.Slug, PlanPeriod: i.PlanPeriod,
		Amount: Money(i.Amount), Payer: Payer(i.Payer),
		PeriodStart: i.PeriodStart.Time, PeriodEnd: i.PeriodEnd.Time, CanceledAt: i.CanceledAt.Time, PastDueAt: i.PastDueAt.Time,
	}
	if item.PlanID == "" {
		item.PlanID = i.Plan.ID
	}
	return item
}

func items(list []itemJSON) []SubscriptionItem {
	var all []SubscriptionItem
	for i := range list {
		all = append(all, list[i].item())
	}
	return all
}

// readSubscription orders a subscription's events with those of its payer.
func readSubscription(e *Event, data []byte) error {
	var s struct {
		ID         string     `json:"id"`
		Status     string     `json:"status"`
		Payer      payerJSON  `json:"payer"`
		Items      []itemJSON `json:"items"`
		ActiveAt   instant    `json:"active_at"`
		PastDueAt  instant    `json:"past_due_at"`
		CanceledAt instant    `json:"canceled_at"`
		EndedAt    instant    `json:"ended_at"`
		CreatedAt  instant    `json:"created_at"`
		UpdatedAt  instant    `json:"updated_at"`
	}
	if err := decodeData(data, &s, requiredID{"id", &s.ID}); err != nil {
		return err
	}
	e.Subscription = &Subscription{
		ID: s.ID, Status: s.Status, Payer: Payer(s.Payer), Items: items(s.Items),
		ActiveAt: s.ActiveAt.Time, PastDueAt: s.PastDueAt.Time, CanceledAt: s.CanceledAt.Time, EndedAt: s.EndedAt.Time,
		CreatedAt: s.CreatedAt.Time, UpdatedAt: s.UpdatedAt.Time,
	}
	e.Subject = e.Subscription.Payer.subject()
	return nil
}

// readSubscriptionItem orders an item's events with those of its payer.
func readSubscriptionItem(e *Event, data []byte) error {
	var i itemJSON
	if err := decodeData(data, &i, requiredID{"id", &i.ID}); err != nil {
		return err
	}
	item := i.item()
	e.SubscriptionItem, e.Subject = &item, item.Payer.subject()
	return nil
}

// readPaymentAttempt orders an attempt's events with those of its payer.
func readPaymentAttempt(e *Event, data []byte) error {
	var p struct {
		ID           string    `json:"id"`
		PaymentID    string    `json:"payment_id"`
		Status       string    `json:"status"`
		ChargeType   string    `json:"charge_type"`
		Payer        payerJSON `json:"payer"`
		FailedReason struct {
			Code string `json:"code"`
		} `json:"failed_reason"`
		Totals struct {
			GrandTotal moneyJSON `json:"grand_total"`
		} `json:"totals"`
		Items     []itemJSON `json:"subscription_items"`
		PaidAt    instant    `json:"paid_at"`
		FailedAt  instant    `json:"failed_at"`
		CreatedAt instant    `json:"created_at"`
		UpdatedAt instant    `json:"updated_at"`
	}
	if err := decodeData(data, &p, requiredID{"id", &p.ID}); err != nil {
		return err
	}
	e.PaymentAttempt = &PaymentAttempt{
		ID: p.ID, PaymentID: p.PaymentID, Status: p.Status, ChargeType: p.ChargeType, Amount: Money(p.Totals.GrandTotal),
		Payer: Payer(p.Payer), FailureCode: p.FailedReason.Code, Items: items(p.Items),
		PaidAt: p.PaidAt.Time, FailedAt: p.FailedAt.Time, CreatedAt: p.CreatedAt.Time, UpdatedAt: p.UpdatedAt.Time,
	}
	e.Subject = e.PaymentAttempt.Payer.subject()
	return nil
}
