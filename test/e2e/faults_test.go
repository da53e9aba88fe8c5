package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"
)

// patience is how long anybody may be kept waiting by a Clerk that is ill: 2.5 s
// for the keys and 5 s for the user.
const patience = 8 * time.Second

// TestFaults is the table of what callers get while Clerk is failing, by what
// is known of them: nothing yet, a fresh answer, a stale one, or one that is
// too old to serve.
func TestFaults(t *testing.T) {
	type fault map[string]any
	tests := []struct {
		name  string
		fault fault
		// The status for each state.
		unknown, fresh, stale, expired int
	}{
		{"slow", fault{"kind": "latency", "latency": "300ms"}, 200, 200, 200, 200},
		{"hanging", fault{"kind": "hang"}, 503, 200, 200, 503},
		{"refusing connections", fault{"kind": "refused", "duration": "1s"}, 503, 200, 200, 503},
		{"resetting connections", fault{"kind": "reset"}, 503, 200, 200, 503},
		{"refusing our secret key", fault{"kind": "status", "status": 401}, 500, 200, 200, 500},
		{"limiting the rate", fault{"kind": "status", "status": 429, "retry_after": 1}, 503, 200, 200, 503},
		{"failing with 500", fault{"kind": "status", "status": 500}, 503, 200, 200, 503},
		{"behind a failing proxy", fault{"kind": "status", "status": 502}, 503, 200, 200, 503},
		{"truncating its answers", fault{"kind": "truncated"}, 503, 200, 200, 503},
		{"cutting its JSON", fault{"kind": "cut_json"}, 503, 200, 200, 503},
		{"answering something else", fault{"kind": "wrong_json"}, 503, 200, 200, 503},
		// Not a failure: Clerk says that the user is gone. A stale answer
		// serves once more while the new one is fetched.
		{"without the user", nil, 401, 200, 200, 401},
	}

	// All who are to be forgotten are seen at once: under encore run the time
	// until then has to pass.
	expired := make([]string, len(tests))
	for i := range tests {
		expired[i] = newUser(t)
		mustServe(t, expired[i])
	}
	if w.advance != nil {
		w.advance(w.userMaxAge + w.userStaleIfError)
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			recovered(t)
			type state struct {
				name, user string
				want       int
			}
			unknown, fresh := newUser(t), newUser(t)
			states := []state{{"fresh", fresh, test.fresh}, {"unknown", unknown, test.unknown}}
			if w.advance != nil {
				stale := newUser(t)
				mustServe(t, stale)
				w.advance(w.userMaxAge)
				states = append([]state{{"stale", stale, test.stale}, {"expired", expired[i], test.expired}}, states...)
			}
			mustServe(t, fresh)
			tokens := map[string]string{} // signed now: a fake Clerk that refuses connections signs none
			for _, state := range states {
				tokens[state.name] = "Bearer " + token(t, url.Values{"user_id": {state.user}})
			}

			if test.fault != nil {
				control(t, http.MethodPut, "/fakeclerk/faults", test.fault)
			} else {
				for _, state := range states {
					control(t, http.MethodDelete, "/v1/users/"+state.user, nil)
				}
			}
			for _, state := range states {
				got := ask(t, "/user/profile", tokens[state.name])
				if got.status != state.want {
					t.Errorf("%s: got %v, want %d", state.name, got, state.want)
				}
				if got.took > patience {
					t.Errorf("%s: answered after %v", state.name, got.took)
				}
			}
			if test.fault["kind"] != "refused" { // which ends by itself
				control(t, http.MethodDelete, "/fakeclerk/faults", nil)
			}
			recovered(t)
			if test.fault == nil {
				return // a deleted user stays so
			}
			eventually(t, "the user who was unknown during the fault is served after it", func() bool {
				return profile(t, unknown).status == http.StatusOK
			})
		})
	}
}

func mustServe(t *testing.T, user string) {
	t.Helper()
	if got := profile(t, user); got.status != http.StatusOK {
		t.Fatalf("before the fault: %v", got)
	}
}

// recovered waits for the documented back-off to be over: a user of whom
// nothing is known is served.
func recovered(t *testing.T) {
	t.Helper()
	eventually(t, "the fake Clerk listens again", func() bool {
		response, err := client.Get(w.clerk + "/fakeclerk/requests")
		return err == nil && response.Body.Close() == nil
	})
	eventually(t, "a new user is served after the fault", func() bool {
		return profile(t, newUser(t)).status == http.StatusOK
	})
}

func TestCallersSeenBeforeOutliveClerk(t *testing.T) {
	if os.Getenv("TESTS") != "whole" {
		t.Skip("TESTS=whole asks 20 times while Clerk hangs")
	}
	recovered(t)
	seen, never := newUser(t), newUser(t)
	if got := profile(t, seen); got.status != http.StatusOK {
		t.Fatalf("got %v", got)
	}
	control(t, http.MethodPut, "/fakeclerk/faults", map[string]any{"kind": "hang"})
	defer control(t, http.MethodDelete, "/fakeclerk/faults", nil)
	for range 20 {
		if got := profile(t, seen); got.status != http.StatusOK || got.took > patience {
			t.Fatalf("a caller seen before: %v after %v", got, got.took)
		}
		got := profile(t, never)
		want(t, got, http.StatusServiceUnavailable, unavailable)
		if got.took > patience {
			t.Fatalf("a caller never seen was answered after %v", got.took)
		}
	}
}

func TestMisconfigurationIsSaidInternally(t *testing.T) {
	recovered(t)
	control(t, http.MethodPut, "/fakeclerk/faults", map[string]any{"kind": "status", "status": 401})
	defer control(t, http.MethodDelete, "/fakeclerk/faults", nil)
	want(t, profile(t, newUser(t)), http.StatusInternalServerError, internal)
}

func TestKeys(t *testing.T) {
	if w.advance == nil {
		t.Log("the keys of a backend that was not started here would stay changed: left to the other servers")
		return
	}
	recovered(t)
	old := "Bearer " + token(t, url.Values{"user_id": {"user_ada"}, "claims": {farFuture()}})
	if got := ask(t, "/user/profile", old); got.status != http.StatusOK {
		t.Fatalf("got %v", got)
	}
	rotated := fmt.Sprintf("ins_rotated_%d", time.Now().UnixNano())
	control(t, http.MethodPost, "/fakeclerk/keys/rotate", map[string]string{"kid": rotated})
	eventually(t, "tokens of the new key are accepted", func() bool { return profile(t, "user_ada").status == http.StatusOK })
	if got := ask(t, "/user/profile", old); got.status != http.StatusOK {
		t.Fatalf("a token of the old key, which is still listed: %v", got)
	}
	control(t, http.MethodDelete, "/fakeclerk/keys/ins_fakeclerk", nil)
	eventually(t, "a remembered token of a key that is no longer listed is refused", func() bool {
		return ask(t, "/user/profile", old).status == http.StatusUnauthorized
	})
	if got := profile(t, "user_ada"); got.status != http.StatusOK {
		t.Fatalf("got %v", got)
	}
}

func TestClerkClockOff(t *testing.T) {
	recovered(t)
	defer control(t, http.MethodPut, "/fakeclerk/clock", map[string]string{"offset": "0s"})
	for offset, want := range map[string]int{"-4s": 200, "3s": 200, "30s": 401, "-70s": 401} {
		control(t, http.MethodPut, "/fakeclerk/clock", map[string]string{"offset": offset})
		if got := profile(t, "user_ada"); got.status != want {
			t.Errorf("off by %s: got %v, want %d", offset, got, want)
		}
	}
}

// farFuture are claims of a token that outlives the clock that a test moves.
func farFuture() string {
	return fmt.Sprintf(`{"exp":%d}`, now().Add(time.Hour).Unix())
}
