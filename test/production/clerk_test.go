//go:build linux && !encore_local

package production

import (
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
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"encore.app/fakeclerk"
)

const (
	secretKey = "sk_live_fakeclerk"
	apiHost   = "api.clerk.com"
	// serviceKey signs calls between services; see "auth" in deploy/infra.json.
	serviceKey = "0123456789abcdef0123456789abcdef"
)

// clerk is the fake Clerk with the name api.clerk.com. A deployed app calls no
// other host. It reaches this one through a proxy, as in a company's network:
// HTTPS_PROXY names the proxy, SSL_CERT_FILE the certificate authority.
type clerk struct {
	*fakeclerk.Server
	proxy, api *httptest.Server
	forE2E     *httptest.Server // where the e2e suite reaches the fake Clerk
	roots      string           // file with the certificate authority
	gone       atomic.Bool
}

func startClerk(folder string) (*clerk, error) {
	retries := []time.Duration{time.Second, time.Second, time.Second}
	fake, err := fakeclerk.Start(fakeclerk.Options{SecretKey: secretKey, Issuer: "https://clerk.example.com", WebhookRetries: retries})
	if err != nil {
		return nil, err
	}
	c := &clerk{Server: fake, roots: filepath.Join(folder, "roots.pem")}
	certificate, err := c.certify()
	if err != nil {
		return nil, err
	}
	c.api = httptest.NewUnstartedServer(c.forward(func(*http.Request) {}))
	c.api.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	c.api.Config.ErrorLog = log.New(io.Discard, "", 0)
	c.api.StartTLS()
	c.proxy = httptest.NewServer(http.HandlerFunc(c.connect))
	c.forE2E = httptest.NewServer(c.forward(asProduction))
	closers = append(closers, func() { _ = fake.Close() }, c.api.Close, c.proxy.Close, c.forE2E.Close)
	return c, nil
}

// forward passes requests on to the fake Clerk, and a fault of its connections to
// the client.
func (c *clerk) forward(change func(*http.Request)) http.Handler {
	target, _ := url.Parse(c.URL())
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			change(r.Out)
		},
		Transport:    &http.Transport{DisableKeepAlives: true},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:     log.New(io.Discard, "", 0),
	}
}

// asProduction lets the e2e suite, which expects the key and the frontend of a
// developer's machine, use the instance of this suite.
func asProduction(r *http.Request) {
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
	to, err := net.Dial("tcp", c.api.Listener.Addr().String())
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	from, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
	for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
		go func() {
			_, _ = io.Copy(way[0], way[1])
			_ = way[0].Close()
		}()
	}
}

// leave lets Clerk be gone: connections end, and no new one is made.
func (c *clerk) leave() {
	c.gone.Store(true)
	c.api.CloseClientConnections()
}

func (c *clerk) comeBack() { c.gone.Store(false) }

// sendEventsTo sends events to an address until the test ends.
func (c *clerk) sendEventsTo(t testing.TB, address string) {
	t.Helper()
	put := func(address string) { c.call(t, "PUT /fakeclerk/webhooks", fmt.Sprintf(`{"url":%q}`, address), nil) }
	put(address)
	t.Cleanup(func() { put("") })
}

// call calls the fake Clerk, and decodes what it answers unless into is nil.
func (c *clerk) call(t testing.TB, route, body string, into any) {
	t.Helper()
	method, path, _ := strings.Cut(route, " ")
	request := must[*http.Request](t)(http.NewRequest(method, c.URL()+path, strings.NewReader(body)))
	request.Header.Set("Authorization", "Bearer "+secretKey)
	request.Header.Set("Content-Type", "application/json")
	response := must[*http.Response](t)(http.DefaultClient.Do(request))
	defer response.Body.Close()
	content := must[[]byte](t)(io.ReadAll(response.Body))
	if response.StatusCode/100 != 2 {
		t.Fatalf("the fake Clerk answered %s: %s", response.Status, content)
	}
	if into != nil {
		if err := json.Unmarshal(content, into); err != nil {
			t.Fatal(err)
		}
	}
}

// env is the secrets of deploy/infra.json, and the way to the fake Clerk.
func (c *clerk) env() []string {
	return []string{
		"CLERK_SECRET_KEY=" + secretKey,
		"CLERK_WEBHOOK_SIGNING_SECRET=" + c.WebhookSigningSecret(),
		"SERVICE_KEY=" + serviceKey,
		"HTTPS_PROXY=" + c.proxy.URL,
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
