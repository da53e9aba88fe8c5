package store

import (
	"io"
	"net"
	"strconv"
	"sync"
	"testing"

	"encore.dev/beta/errs"
	"github.com/jackc/pgx/v5"

	"encore.app/internal/postgres/postgrestest"
)

// gate is a TCP proxy in front of PostgreSQL that can be shut.
type gate struct {
	t       *testing.T
	address string
	target  string

	mu          sync.Mutex
	listener    net.Listener
	connections []net.Conn
}

func (g *gate) open() {
	g.t.Helper()
	listener, err := net.Listen("tcp", g.address)
	if err != nil {
		g.t.Fatal(err)
	}
	g.address, g.listener = listener.Addr().String(), listener
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", g.target)
			if err != nil {
				client.Close()
				continue
			}
			g.mu.Lock()
			g.connections = append(g.connections, client, server)
			g.mu.Unlock()
			go func() { _, _ = io.Copy(server, client); server.Close() }()
			go func() { _, _ = io.Copy(client, server); client.Close() }()
		}
	}()
}

func (g *gate) shut() {
	g.listener.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.connections {
		c.Close()
	}
	g.connections = nil
}

func TestPostgresStopsAndStartsAgain(t *testing.T) {
	config, err := pgx.ParseConfig(postgrestest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{t: t, address: "127.0.0.1:0", target: net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))}
	g.open()
	host, port, _ := net.SplitHostPort(g.address)
	log := &testLog{t: t}
	log.expects.Store(true)
	g.shut()
	s, err := Open("host="+host+" port="+port+" user="+config.User+" password='"+config.Password+"' dbname="+config.Database+" sslmode=disable", log)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var h heard
	f := &follower{store: s, target: &h}
	account := func(when string, want errs.ErrCode) {
		t.Helper()
		if _, err := s.Account(t.Context(), ada()); codeOf(err) != want {
			t.Errorf("%s: %v, want %v", when, codeOf(err), want)
		}
		if err := f.poll(t.Context()); (err != nil) != (want != errs.OK) {
			t.Errorf("%s: follow: %v", when, err)
		}
	}
	account("down at the start", errs.Unavailable)
	g.open()
	account("up", errs.OK)
	g.shut()
	account("down", errs.Unavailable)
	account("still down", errs.Unavailable)
	g.open()
	account("up again", errs.OK)
	g.shut()
}
