package main

import (
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
)

// line is the way to Clerk over TLS and HTTP/2, through a TCP proxy that can
// lose what its connections carry.
type line struct {
	url string // of the proxy

	clerk    *httptest.Server
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]*atomic.Bool // true once it is silent
}

// trusted are the certificates of every line.
var trusted = x509.NewCertPool()

// trustLines lets HTTP clients that follow the default transport trust a line.
// It comes before any of them is made.
func trustLines() {
	server := httptest.NewTLSServer(nil)
	trusted.AddCert(server.Certificate()) // httptest has one for all
	server.Close()
	transport := http.DefaultTransport.(*http.Transport)
	transport.TLSClientConfig = transport.Clone().TLSClientConfig.Clone()
	transport.TLSClientConfig.RootCAs = trusted
}

func newLine(clerkURL string) (*line, error) {
	target, err := url.Parse(clerkURL)
	if err != nil {
		return nil, err
	}
	l := &line{conns: make(map[net.Conn]*atomic.Bool)}
	l.clerk = httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(target))
	l.clerk.EnableHTTP2 = true
	l.clerk.StartTLS()
	if l.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		l.clerk.Close()
		return nil, err
	}
	l.url = "https://" + l.listener.Addr().String()
	l.running.Go(l.accept)
	return l, nil
}

func (l *line) accept() {
	for {
		conn, err := l.listener.Accept()
		if err != nil {
			return // closed
		}
		behind, err := net.Dial("tcp", l.clerk.Listener.Addr().String())
		if err != nil {
			_ = conn.Close()
			continue
		}
		silent := new(atomic.Bool)
		l.mu.Lock()
		l.conns[conn], l.conns[behind] = silent, silent
		l.mu.Unlock()
		l.running.Go(func() { forward(behind, conn, silent) })
		l.running.Go(func() { forward(conn, behind, silent) })
	}
}

// forward copies until one side ends. What a silent connection carries is read
// and dropped, and its end is not passed on.
func forward(to, from net.Conn, silent *atomic.Bool) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		if !silent.Load() {
			if _, failed := to.Write(buffer[:n]); failed != nil || err != nil {
				_ = to.Close()
			}
		}
		if err != nil {
			return
		}
	}
}

// silence makes the open connections lose everything from now on.
func (l *line) silence() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, silent := range l.conns {
		silent.Store(true)
	}
}

func (l *line) close() {
	_ = l.listener.Close()
	l.mu.Lock()
	for conn := range l.conns {
		_ = conn.Close()
	}
	l.mu.Unlock()
	l.running.Wait()
	l.clerk.Close()
}
