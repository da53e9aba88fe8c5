// Package perimeter sends a balancer what it must not let through to Encore's
// server. docs/deploy.md lists the rules.
package perimeter

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Result is what one request showed.
type Result struct {
	Name string
	Err  error // nil: as it has to be
}

// attempt is a request, byte for byte, and the statuses that may answer it.
type attempt struct {
	name, head string
	body       int // bytes to send, unless the answer comes first
	want       []int
	chunk      int // their size; 0: 10,000
}

// The balancer itself refuses; the app answers 401 without a token.
var (
	refused = []int{400, 404}
	large   = []int{413}
	tooLong = []int{400, 413}
	reached = []int{401}
	socket  = []int{101}
	closed  = []int{400, 401} // of the balancer or the app
)

const chunked = "Transfer-Encoding: chunked\r\n\r\n"

const (
	get  = "GET /user/profile HTTP/1.1\r\nHost: %s\r\n"
	live = "GET /live/socket HTTP/1.1\r\nHost: %s\r\n"

	settings = "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
	h2c      = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" + settings
	key      = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)

func attempts(host, token string) []attempt {
	list := []attempt{
		{name: "an ordinary request passes", head: get + "\r\n", want: reached},
		{name: "an upgrade to HTTP/2 makes no tunnel", want: reached,
			head: get + h2c + "\r\n"},
		{name: "an upgrade in capitals and parts makes no tunnel", want: reached,
			head: get + "connection: keep-alive\r\nconnection: UPGRADE\r\nupgrade: websocket\r\nupgrade: H2C\r\n\r\n"},
		{name: "an upgrade to HTTP/2 on the path of a WebSocket makes no tunnel", want: closed,
			head: live + h2c + "\r\n"},
		{name: "an upgrade to both on the path of a WebSocket makes no tunnel", want: closed,
			head: live + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: websocket, h2c\r\n" + settings + "\r\n"},
		{name: "an upgrade to both in two headers on the path of a WebSocket makes no tunnel", want: closed,
			head: live + "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n" + settings + "\r\n"},
		{name: "a WebSocket elsewhere does not upgrade", want: reached,
			head: get + "Connection: Upgrade\r\nUpgrade: websocket\r\n" + key + "\r\n"},
		{name: "a WebSocket passes", want: socket,
			head: live + "Connection: Upgrade\r\nUpgrade: WebSocket\r\n" + key + "Sec-WebSocket-Protocol: live, bearer." + token + "\r\n\r\n"},
		{name: "headers of Encore's services do not arrive", want: reached,
			head: get + "X-Encore-Meta-Caller: api:webhooks.Clerk\r\nx-encore-meta-callee: user.GetProfile\r\nX-ENCORE-META-Svc-Auth-Method: noop\r\nX-Encore-Auth: x\r\n\r\n"},
	}
	for _, path := range []string{
		"/__encore/healthz", "/__encore/healthz?x=1", "//__encore/healthz", "/x/../__encore/healthz", "/./__encore/healthz", "/%5f%5fencore/healthz",
		"/_%5Fencore/healthz", "/__encor%65/healthz", "/%2f__encore/healthz", "/__encore%2fhealthz", "http://%s/__encore/healthz",
	} {
		if strings.HasPrefix(path, "http:") {
			path = fmt.Sprintf(path, host)
		}
		list = append(list, attempt{name: path + " is refused", want: refused,
			head: "GET " + strings.ReplaceAll(path, "%", "%%") + " HTTP/1.1\r\nHost: %s\r\n\r\n"})
	}
	put := "PUT /account/settings HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAuthorization: Bearer " + token + "\r\n"
	event := "POST /webhooks/clerk HTTP/1.1\r\nHost: %s\r\n"
	filler := "X-Filler: " + strings.Repeat("x", 7000) + "\r\n"
	return append(list,
		attempt{name: "a declared body of 600 MB is refused", head: put + "Content-Length: 629145600\r\n\r\n", body: 8 << 20, want: large},
		attempt{name: "a chunked body of 8 MB is refused", head: put + chunked, body: 8 << 20, want: large},
		attempt{name: "a body of 4 MB in chunks of 10 bytes is refused", head: put + chunked, body: 4 << 20, chunk: 10, want: large},
		attempt{name: "a chunked body of 8 MB behind a head of 7 KB is refused", head: put + filler + chunked, body: 8 << 20, want: tooLong},
		attempt{name: "a chunked body of 8 MB behind a head of 14 KB is refused", head: put + filler + filler + chunked, body: 8 << 20, want: tooLong},
		attempt{name: "a small chunked body passes", head: event + chunked, body: 10000, want: []int{400}},
		attempt{name: "an event of 300 KB passes", head: event + "Content-Length: 300000\r\n\r\n", body: 300000, want: []int{400}},
	)
}

// Try sends everything to the balancer at the address, as one who names the host
// and is signed in with the token. Behind it is the app, or a server that answers
// 401 to GET /user/profile, takes a WebSocket with the token at /live/socket, reads what is sent to PUT /account/settings, and answers
// 400 to POST /webhooks/clerk.
func Try(address, host, token string) (results []Result) {
	for _, a := range attempts(host, token) {
		status, err := a.send(address, host)
		if err == nil && !slices.Contains(a.want, status) {
			err = fmt.Errorf("got %d, want one of %v", status, a.want)
		}
		results = append(results, Result{a.name, err})
	}
	return results
}

// TrySlow holds requests open without sending, which takes half a minute.
func TrySlow(address, host string) []Result {
	slow := []struct{ name, sent string }{
		{"a head that stops", "GET /user/profile HTTP/1.1\r\nHost: " + host + "\r\n"},
		{"a body that stops", "POST /webhooks/clerk HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 1000\r\n\r\n{"},
		{"a long body that stops", "PUT /account/settings HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 500000\r\n\r\n" + strings.Repeat(" ", 100000)},
	}
	results := make([]Result, len(slow))
	var all sync.WaitGroup
	for i, s := range slow {
		all.Go(func() { results[i] = Result{s.name + " is closed within 30 seconds", stall(address, s.sent)} })
	}
	all.Wait()
	return results
}

func stall(address, sent string) error {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(connection, sent); err != nil {
		return nil // closed already
	}
	_, err = io.Copy(io.Discard, connection)
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		return err
	}
	return nil
}

func (a attempt) send(address, host string) (status int, err error) {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := fmt.Fprintf(connection, a.head, host); err != nil {
		return 0, err
	}
	go a.sendBody(connection)
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return 0, err
	}
	_ = response.Body.Close()
	return response.StatusCode, nil
}

// sendBody stops when the connection is closed.
func (a attempt) sendBody(connection io.Writer) {
	inChunks := strings.HasSuffix(a.head, chunked)
	for left := a.body; left > 0; {
		part := strings.Repeat(" ", min(left, cmp.Or(a.chunk, 10000)))
		left -= len(part)
		if inChunks {
			part = fmt.Sprintf("%x\r\n%s\r\n", len(part), part)
		}
		if _, err := io.WriteString(connection, part); err != nil {
			return
		}
	}
	if inChunks {
		_, _ = io.WriteString(connection, "0\r\n\r\n")
	}
}
