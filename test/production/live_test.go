//go:build linux && !encore_local

package production

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"encore.app/fakeclerk"
)

// TestLive is about the connections of examples/live on three instances.
func TestLive(t *testing.T) {
	e := setup(t)
	instances := e.app.fleet(t, 3)
	u := e.newUsers(t, "live", 4)
	balancers := map[string]string{"haproxy": e.startHaproxy(t, instances[0].address, instances[1].address, instances[2].address),
		"caddy": e.startCaddy(t, instances[0].address)}

	t.Run("a ban, a sign-out and another role end them everywhere", func(t *testing.T) {
		e.clerk.sendEventsTo(t, instances[0].url("/webhooks/clerk")) // the others learn of it from the database
		must[fakeclerk.Organization](t)(e.clerk.AddOrganization(fakeclerk.Organization{ID: "org_live", Slug: "live"}))
		for _, admin := range u.ids[2:] { // an organization keeps one
			must[fakeclerk.Membership](t)(e.clerk.AddMembership("org_live", admin, "org:admin"))
		}
		var session struct{ ID string }
		e.clerk.call(t, "POST /v1/sessions", fmt.Sprintf(`{"user_id":%q}`, u.ids[1]), &session)
		for _, test := range []struct {
			name, user string
			options    []fakeclerk.TokenOption
			change     func()
		}{
			{"a ban", u.ids[0], nil, func() { e.clerk.call(t, "POST /v1/users/"+u.ids[0]+"/ban", "", nil) }},
			{"a sign-out", u.ids[1], []fakeclerk.TokenOption{fakeclerk.Claim("sid", session.ID)},
				func() { e.clerk.call(t, "POST /fakeclerk/sessions/"+session.ID+"/end", "", nil) }},
			{"another role", u.ids[2], []fakeclerk.TokenOption{fakeclerk.ActiveOrganization("live")},
				func() {
					must[fakeclerk.Membership](t)(e.clerk.UpdateMembership("org_live", u.ids[2], "org:member"))
				}},
			{"the end of the organization", u.ids[3], []fakeclerk.TokenOption{fakeclerk.ActiveOrganization("live")},
				func() {
					if err := e.clerk.DeleteOrganization("org_live"); err != nil {
						t.Error(err)
					}
				}},
		} {
			token := e.longToken(t, test.user, test.options...)
			var ends []<-chan end
			for _, i := range instances {
				ends = append(ends, listen(t, i.address, token), stream(t, i.address, token))
			}
			began := time.Now()
			test.change()
			var took []time.Duration
			for _, ended := range ends {
				select {
				case end := <-ended:
					if end.err != nil {
						t.Errorf("%s: %v", test.name, end.err)
					}
					took = append(took, end.at.Sub(began).Round(10*time.Millisecond))
				case <-time.After(10 * time.Second):
					t.Errorf("%s: a connection stays open", test.name)
					took = append(took, time.Hour)
				}
			}
			say(t, slices.Max(took) <= 2*time.Second, "%s: a WebSocket and a stream on each instance ended after %v", test.name, took)
		}
	})
	t.Run("idle connections pass the balancers", func(t *testing.T) {
		// Longer than any timeout of a balancer.
		ctx, cancel := context.WithTimeout(t.Context(), 75*time.Second)
		defer cancel()
		token, ends := e.longToken(t, u.ids[3]), map[string]<-chan end{}
		for name, address := range balancers {
			ends[name+" WebSocket"], ends[name+" stream"] = listen(t, address, token), stream(t, address, token)
		}
		for name, ended := range ends {
			select {
			case end := <-ended:
				t.Errorf("%s ended: %v", name, end.err)
			case <-ctx.Done():
			}
		}
	})
	t.Run("a machine is refused at a raw endpoint", func(t *testing.T) {
		machine := must[fakeclerk.MachineToken](t)(e.clerk.AddMachineToken(fakeclerk.MachineToken{Type: fakeclerk.TypeAPIKey, Subject: u.ids[3]}))
		request := must[*http.Request](t)(http.NewRequest(http.MethodGet, instances[0].url("/live/events"), nil))
		request.Header.Set("Authorization", "Bearer "+machine.Token)
		status, body, err := u.do(request)
		say(t, err == nil && status == http.StatusForbidden && strings.Contains(body, `"permission_denied"`), "%d %s", status, strings.TrimSpace(body))
	})
	t.Run("9,000 idle connections", func(t *testing.T) {
		// A process has two files for each here, and 20,000 at most on many machines.
		i := e.app.start(t, "GOMEMLIMIT=1GiB", "GOGC=100")
		crowd := e.newUsers(t, "idle", 900)
		before := i.memory(t)
		var opening sync.WaitGroup
		for part := range 4 {
			opening.Go(func() {
				for n := part; n < len(crowd.ids); n += 4 {
					token := e.longToken(t, crowd.ids[n])
					for range 10 {
						listen(t, i.address, token)
					}
				}
			})
		}
		opening.Wait()
		used := i.memory(t) - before
		say(t, used <= 9000*36<<10, "%d MB resident more, of which a part is garbage", used>>20)
		status, _ := u.profile(i.address, u.ids[3])
		say(t, status == http.StatusOK, "a request beside them: %d", status)
	})
}

// longToken is a session token for a connection that outlives a minute.
func (e *environment) longToken(t testing.TB, user string, options ...fakeclerk.TokenOption) string {
	t.Helper()
	return must[string](t)(e.clerk.SessionToken(user, append(options, fakeclerk.Claim("azp", party), fakeclerk.Claim("exp", time.Now().Add(time.Hour).Unix()))...))
}

// end is when a connection ended, with an error if the server did not say that the
// caller ended.
type end struct {
	at  time.Time
	err error
}

// listen opens a WebSocket as a page does, until the test ends.
func listen(t testing.TB, address, token string) <-chan end {
	t.Helper()
	socket, _, err := websocket.Dial(t.Context(), "ws://"+address+"/live/socket", &websocket.DialOptions{
		Subprotocols: []string{"live", "bearer." + token}, HTTPHeader: http.Header{"Origin": {party}},
	})
	if err != nil {
		t.Error(err)
		return nil
	}
	if _, first, err := socket.Read(t.Context()); err != nil || !strings.Contains(string(first), `"ready"`) {
		t.Errorf("%s, %v", first, err)
	}
	t.Cleanup(func() { _ = socket.CloseNow() })
	ended := make(chan end, 1)
	go func() {
		_, _, err := socket.Read(context.Background())
		if websocket.CloseStatus(err) == 4401 {
			err = nil
		}
		ended <- end{time.Now(), err}
	}()
	return ended
}

// stream opens a stream of server-sent events, until the test ends.
func stream(t testing.TB, address, token string) <-chan end {
	t.Helper()
	request := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/live/events", nil))
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Origin", party)
	response, err := http.DefaultClient.Do(request)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", response, err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	lines, ended := bufio.NewScanner(response.Body), make(chan end, 1)
	for lines.Scan() && !strings.Contains(lines.Text(), `"ready"`) {
	}
	go func() {
		err := errors.New("the stream ended without the event end")
		for lines.Scan() {
			if lines.Text() == "event: end" {
				err = nil
			}
		}
		ended <- end{time.Now(), err}
	}()
	return ended
}
