package crowd

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"time"

	"encore.app/test/load"
)

// forgers: cached users send requests, first alone and then together with forged
// tokens of the shapes that cost the most.
func forgers(s *scene) {
	asking := repeat(s.users, count(callerRate, forgersLasting))
	alone := s.client.arriving(s.Context(), s.first.always, asking, float64(callerRate))
	forged := repeat(forgedTokens(), count(forgerRate, forgersLasting))
	var refused *tally
	var wg sync.WaitGroup
	wg.Go(func() { refused = s.client.arriving(s.Context(), s.first.always, forged, float64(forgerRate)) })
	beside := s.client.arriving(s.Context(), s.first.always, asking, float64(callerRate))
	wg.Wait()
	s.add(alone, beside)
	s.nobodyRefused()
	s.atMost("forged tokens that are accepted", int(refused.served.Load()), 0)
	a, b := load.Quantile(alone.latencies, 0.5), load.Quantile(beside.latencies, 0.5)
	s.Logf("p50 %.2f ms alone, %.2f ms beside %d forged tokens a second: %.1f times", a.Seconds()*1e3, b.Seconds()*1e3, forgerRate, float64(b)/float64(max(a, time.Nanosecond)))
}

// forgedTokens name the right key and fill 13 KB, in the header or the payload:
// many names, deep nesting, many objects.
func forgedTokens() (forged []user) {
	const length = 9000 // before base64
	var names strings.Builder
	for i := 0; names.Len() < length; i++ {
		fmt.Fprintf(&names, `,"%x":0`, i)
	}
	for _, filler := range []string{
		names.String(),
		`,"x":` + strings.Repeat("[", length/2) + strings.Repeat("]", length/2),
		`,"x":[` + strings.Repeat("{},", length/3) + `0]`,
	} {
		const header, payload = `{"alg":"RS256","kid":"ins_fakeclerk","typ":"JWT"`, `{"exp":4102444800,"sid":"sess_1"`
		for _, parts := range [][2]string{{header + filler + "}", payload + "}"}, {header + "}", payload + filler + "}"}} {
			encode := base64.RawURLEncoding.EncodeToString
			forged = append(forged, user{token: encode([]byte(parts[0])) + "." + encode([]byte(parts[1])) + "." + encode(make([]byte, 256))})
		}
	}
	return forged
}
