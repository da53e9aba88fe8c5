package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"encore.app/fakeclerk"
)

// clerk is the fake Clerk behind the name api.clerk.com. A deployed app asks
// nothing else, so it gets there the way it would through a company's proxy:
// HTTPS_PROXY names this one, SSL_CERT_FILE its certificate authority.
type clerk struct {
	*fakeclerk.Server
	proxy   *http.Server
	api     *http.Server
	tunnels *tunnels
	address string // of the proxy
	roots   string // file with the certificate authority
	gone    atomic.Bool

	// forE2E is where the e2e suite reaches the fake Clerk.
	forE2E *http.Server
	e2eURL string
}

const (
	secretKey = "sk_live_fakeclerk"
	apiHost   = "api.clerk.com"
)

func startClerk(folder string) (*clerk, error) {
	fake, err := fakeclerk.Start(fakeclerk.Options{SecretKey: secretKey, WebhookRetries: []time.Duration{time.Second, time.Second, time.Second}})
	if err != nil {
		return nil, err
	}
	c := &clerk{Server: fake, roots: filepath.Join(folder, "roots.pem")}
	certificate, err := c.certify()
	if err != nil {
		return nil, err
	}
	target, err := url.Parse(fake.URL())
	if err != nil {
		return nil, err
	}
	quiet := log.New(io.Discard, "", 0)
	c.tunnels = &tunnels{connections: make(chan net.Conn), closed: make(chan struct{}), open: make(map[net.Conn]bool)}
	c.api = &http.Server{
		Handler: &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
			// A fault of the fake Clerk's connections is one of this one's.
			Transport:    &http.Transport{DisableKeepAlives: true},
			ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
			ErrorLog:     quiet,
		},
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}},
		ErrorLog:  quiet,
	}
	go func() { _ = c.api.ServeTLS(c.tunnels, "", "") }()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c.address = listener.Addr().String()
	c.proxy = &http.Server{Handler: http.HandlerFunc(c.connect)}
	go func() { _ = c.proxy.Serve(listener) }()

	forE2E, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c.e2eURL = "http://" + forE2E.Addr().String()
	c.forE2E = &http.Server{Handler: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			asProduction(r.Out)
		},
		// The suite sees a fault of the fake Clerk's connections as one of these.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:     quiet,
	}, ErrorLog: quiet}
	go func() { _ = c.forE2E.Serve(forE2E) }()
	return c, nil
}

// asProduction lets the e2e suite, which expects the key and the frontend of a
// developer's machine, use the instance of this suite.
func asProduction(r *http.Request) {
	r.Host = ""
	if r.Header.Get("Authorization") == "Bearer sk_test_fakeclerk" {
		r.Header.Set("Authorization", "Bearer "+secretKey)
	}
	query := r.URL.Query()
	if r.URL.Path == "/token" && (!query.Has("azp") || query.Get("azp") == fakeclerk.DefaultAuthorizedParty) {
		query.Set("azp", party)
		r.URL.RawQuery = query.Encode()
	}
}

// connect answers a client's CONNECT.
func (c *clerk) connect(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect || r.Host != apiHost+":443" || c.gone.Load() {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = connection.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
	c.tunnels.add(connection)
}

// leave lets Clerk be gone: connections end, and no new one is made.
func (c *clerk) leave() {
	c.gone.Store(true)
	c.tunnels.closeAll()
}

func (c *clerk) comeBack() { c.gone.Store(false) }

func (c *clerk) close() {
	_ = c.proxy.Close()
	_ = c.api.Close()
	_ = c.forE2E.Close()
	_ = c.Server.Close()
}

// sendEventsTo sets where events are sent; "" is nowhere.
func (c *clerk) sendEventsTo(address string) error {
	body, err := json.Marshal(map[string]string{"url": address})
	if err != nil {
		return err
	}
	request, err := http.NewRequest(http.MethodPut, c.URL()+"/fakeclerk/webhooks", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil || response.StatusCode/100 != 2 {
		return fmt.Errorf("the fake Clerk answered %s %w", response.Status, err)
	}
	return nil
}

// env is what an instance is started with: the secrets of deploy/infra.json, and
// the way to the fake Clerk.
func (c *clerk) env() []string {
	return []string{
		"CLERK_SECRET_KEY=" + secretKey,
		"CLERK_WEBHOOK_SIGNING_SECRET=" + c.WebhookSigningSecret(),
		"SERVICE_KEY=" + serviceKey,
		"HTTPS_PROXY=http://" + c.address,
		"SSL_CERT_FILE=" + c.roots,
	}
}

// certify makes a certificate for api.clerk.com and the authority that vouches.
func (c *clerk) certify() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "test/production"},
		DNSNames:              []string{apiHost},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, os.WriteFile(c.roots, encoded, 0o600)
}

// tunnels is a net.Listener of the connections that the proxy lets through.
type tunnels struct {
	connections chan net.Conn
	closed      chan struct{}
	once        sync.Once

	mu   sync.Mutex
	open map[net.Conn]bool
}

func (t *tunnels) add(connection net.Conn) {
	t.mu.Lock()
	t.open[connection] = true
	t.mu.Unlock()
	select {
	case t.connections <- connection:
	case <-t.closed:
		_ = connection.Close()
	}
}

func (t *tunnels) closeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for connection := range t.open {
		_ = connection.Close()
	}
	clear(t.open)
}

// Accept implements [net.Listener].
func (t *tunnels) Accept() (net.Conn, error) {
	select {
	case connection := <-t.connections:
		return connection, nil
	case <-t.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (t *tunnels) Close() error {
	t.once.Do(func() { close(t.closed) })
	t.closeAll()
	return nil
}

// Addr implements [net.Listener].
func (t *tunnels) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
