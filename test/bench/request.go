package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"text/tabwriter"
	"time"

	"encore.app/fakeclerk"
)

// server is one way to serve GET /user/profile, in a process of its own.
type server struct {
	name    string
	command []string // the program and its arguments
	jwtKey  bool     // it is given Clerk's public key
	latency time.Duration
	tokens  []string // a single one is repeated, of several each is sent once

	process          *process
	address          string
	calls, userCalls float64 // to Clerk, per 1,000 requests from a cold start

	perSecond, p50, p99 []float64 // one value a round
}

// requests are all servers.
type requests struct {
	connections int
	latencies   []*group
}

// group is the servers in front of a Clerk that takes latency for an answer.
type group struct {
	latency                                              time.Duration
	ours, guide, sdk, bare, fresh, withEmail, withJWTKey *server
}

func (g *group) servers() []*server {
	all := []*server{g.bare, g.ours, g.fresh, g.withEmail, g.withJWTKey, g.sdk, g.guide}
	present := all[:0]
	for _, srv := range all {
		if srv != nil {
			present = append(present, srv)
		}
	}
	return present
}

func measureRequests(ctx context.Context, p plan, clerk *fakeclerk.Server, folder string, tokens []string) (*requests, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	one, err := clerk.SessionToken(userID)
	if err != nil {
		return nil, err
	}
	withEmail, err := clerk.SessionToken(userID, fakeclerk.Claim("email", email))
	if err != nil {
		return nil, err
	}
	load, err := startGenerator(ctx, self)
	if err != nil {
		return nil, err
	}
	defer load.stop()

	r := &requests{connections: p.connections}
	for _, latency := range []time.Duration{0, 20 * time.Millisecond} {
		add := func(name, token string, command ...string) *server {
			return &server{name: name, command: command, latency: latency, tokens: []string{token}}
		}
		g := &group{
			latency: latency,
			bare:    add("net/http alone, the same bytes", one, self, "serve", "bare"),
			ours:    add("ours", one, self, "serve", "standalone"),
			sdk:     add("clerk-sdk-go, middleware + user.Get", one, self, "serve", "clerk-sdk-go"),
			guide:   add("the guide's handler, Node", one, "node", "guide/server.mjs"),
		}
		r.latencies = append(r.latencies, g)
		if latency > 0 {
			continue // these hardly ask Clerk, if at all
		}
		g.fresh = add("ours, a new token each time", "", self, "serve", "standalone")
		g.fresh.tokens = tokens
		g.withEmail = add("ours, email claim", withEmail, self, "serve", "standalone")
		g.withJWTKey = add("ours, email claim and JWTKey", withEmail, self, "serve", "standalone")
		g.withJWTKey.jwtKey = true
	}

	defer func() {
		for _, g := range r.latencies {
			for _, srv := range g.servers() {
				if srv.process != nil {
					srv.process.stop()
				}
			}
		}
	}()
	for _, g := range r.latencies {
		for _, srv := range g.servers() {
			if err := srv.open(ctx, clerk, folder); err != nil {
				return nil, fmt.Errorf("%s: %w", srv.name, err)
			}
			if err := srv.count(p, clerk, load); err != nil {
				return nil, fmt.Errorf("%s: %w", srv.name, err)
			}
		}
	}
	for round := range p.rounds + 1 { // the first warms up
		for _, g := range r.latencies {
			for _, srv := range g.servers() {
				if err := srv.measure(p, clerk, load, round); err != nil {
					return nil, fmt.Errorf("%s: %w", srv.name, err)
				}
			}
		}
	}
	return r, nil
}

func (srv *server) open(ctx context.Context, clerk *fakeclerk.Server, folder string) error {
	var err error
	if srv.process, err = start(ctx, environment(clerk, srv.jwtKey), folder, srv.command[0], srv.command[1:]...); err != nil {
		return err
	}
	srv.address, err = srv.process.line()
	return err
}

// count sends a server its first requests, and counts how often it asks Clerk.
func (srv *server) count(p plan, clerk *fakeclerk.Server, load generator) error {
	srv.setLatency(clerk)
	clerk.ResetRequests()
	first := srv.tokens[:min(len(srv.tokens), p.countOver)]
	_, err := load.run(stretch{Address: srv.address, Tokens: first, Connections: p.connections, AtMost: p.countOver, Lasting: time.Minute})
	perThousand := 1000 / float64(p.countOver)
	srv.calls = float64(clerk.TotalRequests()) * perThousand
	srv.userCalls = float64(clerk.Requests("GET /v1/users/{id}")) * perThousand
	return err
}

func (srv *server) measure(p plan, clerk *fakeclerk.Server, load generator, round int) error {
	srv.setLatency(clerk)
	s := stretch{Address: srv.address, Tokens: srv.tokens, Connections: p.connections, AtMost: math.MaxInt, Lasting: p.window}
	if len(srv.tokens) > 1 {
		// count had the first ones.
		if round == 0 {
			return nil
		}
		s.Tokens = srv.tokens[p.countOver+(round-1)*p.newTokens:][:p.newTokens]
		s.AtMost = p.newTokens
	}
	seen, err := load.run(s)
	if err != nil || round == 0 {
		return err
	}
	srv.perSecond = append(srv.perSecond, seen.PerSecond)
	srv.p50 = append(srv.p50, seen.P50.Seconds())
	srv.p99 = append(srv.p99, seen.P99.Seconds())
	return nil
}

func (srv *server) setLatency(clerk *fakeclerk.Server) {
	clerk.ClearFaults()
	if srv.latency > 0 {
		clerk.SetFault("", fakeclerk.Fault{Kind: fakeclerk.FaultLatency, Latency: srv.latency})
	}
}

func (r *requests) print() {
	for _, g := range r.latencies {
		fmt.Printf("GET /user/profile over loopback, %d connections, Clerk answers in %d ms\n", r.connections, g.latency.Milliseconds())
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(w, "\trequests/s\t× guide\t× net/http\tp50 ms\tp99 ms\tClerk calls per 1,000\tof them for users\tspread\t")
		for _, srv := range g.servers() {
			fmt.Fprintf(w, "%s\t%.0f\t%.1f\t%.2f\t%.2f\t%.2f\t%.0f\t%.0f\t%s\t\n", srv.name,
				median(srv.perSecond), pairedRatio(srv.perSecond, g.guide.perSecond), pairedRatio(srv.perSecond, g.bare.perSecond),
				median(srv.p50)*1000, median(srv.p99)*1000, srv.calls, srv.userCalls, spread(srv.perSecond))
		}
		_ = w.Flush()
		fmt.Println()
	}
}

func (r *requests) targets() []target {
	at0, at20 := r.latencies[0], r.latencies[1]
	guide0 := pairedRatio(at0.ours.perSecond, at0.guide.perSecond)
	guide20 := pairedRatio(at20.ours.perSecond, at20.guide.perSecond)
	bare := pairedRatio(at0.ours.perSecond, at0.bare.perSecond)
	calls := max(at0.ours.calls, at0.fresh.calls, at20.ours.calls)
	return []target{
		{text: "at least 20 × the guide's requests/s, Clerk in 0 ms", got: fmt.Sprintf("%.1f", guide0), met: guide0 >= 20},
		{text: "at least 35 × the guide's requests/s, Clerk in 20 ms", got: fmt.Sprintf("%.1f", guide20), met: guide20 >= 35},
		{text: "at least 0.85 of what net/http alone serves", got: fmt.Sprintf("%.2f", bare), met: bare >= 0.85},
		{text: "at most 2 Clerk calls per 1,000 requests of one user", got: fmt.Sprintf("%.0f", calls), met: calls <= 2, count: true},
		{
			text: "no call for the user with an email claim",
			got:  fmt.Sprintf("%.0f", at0.withEmail.userCalls), met: at0.withEmail.userCalls == 0, count: true,
		},
		{
			text: "no call at all with an email claim and JWTKey",
			got:  fmt.Sprintf("%.0f", at0.withJWTKey.calls), met: at0.withJWTKey.calls == 0, count: true,
		},
	}
}
