package main

import (
	"context"
	"net/http"
	"time"
)

// withoutDatabase: PostgreSQL stops, and all but the service account goes on.
func (e *environment) withoutDatabase(fleet []*member, users *crowd, v *verdicts) error {
	client := &http.Client{Timeout: 20 * time.Second}
	user := users.users[1]
	for _, m := range fleet {
		if status, _, err := users.get(client, m.address, "/account", user); err != nil || status != http.StatusOK {
			v.say(false, "e: before PostgreSQL stops, account answers %d %v", status, err)
			return nil
		}
	}
	if err := e.database.stop(); err != nil {
		return err
	}
	// One also starts without it.
	fleet[2].terminate()
	if err := fleet[2].restart(e.ctx); err != nil {
		return err
	}
	var profiles, accounts int
	for _, m := range fleet {
		if status, _ := users.profile(client, m.address, user); status == http.StatusOK {
			profiles++
		}
		if status, _, _ := users.get(client, m.address, "/account", user); status == http.StatusServiceUnavailable {
			accounts++
		}
	}
	v.say(profiles == 3 && accounts == 3, "e: PostgreSQL stopped, and one instance started since: the profile %d × 200 of 3, the account %d × 503 of 3", profiles, accounts)
	if err := e.database.start(); err != nil {
		return err
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(e.ctx, 30*time.Second)
	defer cancel()
	for back := 0; back < len(fleet); {
		if ctx.Err() != nil {
			v.say(false, "e: PostgreSQL is back, and only %d of 3 instances answer", back)
			return e.ctx.Err()
		}
		if status, _, _ := users.get(client, fleet[back].address, "/account", user); status == http.StatusOK {
			back++
			continue
		}
		pause(ctx, 50*time.Millisecond)
	}
	v.say(true, "e: PostgreSQL is back: the account answers 200 at all three after %.1f s, with no restart", time.Since(began).Seconds())
	return nil
}
