package conditions

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/internal/texts"
)

// maxAnswer is how much of an answer's body is read, in bytes.
const maxAnswer = 1 << 20

// HTTP holds when URL answers with one of Status and all of what is asked of
// its body. Redirects are not followed: they are an answer, by whose Status (302, say) one
// can wait; where they would lead may not be the stack's.
type HTTP struct {
	URL string
	// Method is GET if empty.
	Method string
	// Header of the request; Host is the request's host.
	Header http.Header
	Body   string
	// Status lists what counts as an answer; empty means 200 to 299.
	Status []StatusRange
	// Match must be found in the body's first MiB.
	Match *regexp.Regexp
	JSON  *JSON
	TLS   TLS
}

// StatusRange is a range of status codes, both ends included.
type StatusRange struct{ First, Last int }

// TLS is how an https server is checked.
type TLS struct {
	// Insecure accepts every certificate.
	Insecure bool
	// CA are the certificates that may have signed the server's; nil means the system's.
	CA *x509.CertPool
	// ServerName is expected in the certificate instead of the URL's host.
	ServerName string
}

// answer is what came back.
type answer struct {
	status int
	body   []byte
	// location is where a redirect leads.
	location string
}

// Look sends the request once, on a connection of its own.
func (h HTTP) Look(ctx context.Context, w waiters.World) (waiters.Observation, error) {
	d := &dialer{w: w}
	a, err := h.send(ctx, d, h.Match != nil || h.JSON != nil)
	if err != nil {
		return d.verdict(ctx, err)
	}
	return h.judge(a), nil
}

// send sends the request and reads the answer, its body only where that is
// asked for or says what is wrong: some never end.
func (h HTTP) send(ctx context.Context, d *dialer, whole bool) (answer, error) {
	request, err := h.request(ctx)
	if err != nil {
		return answer{}, err
	}
	// A transport of its own: nothing of the environment (proxies), nothing
	// kept from one look to the next, which may meet another container.
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) { return d.dial(ctx, address) },
		TLSClientConfig: &tls.Config{
			InsecureSkipVerify: h.TLS.Insecure, //nolint:gosec // the stack file asks for it
			RootCAs:            h.TLS.CA,
			ServerName:         h.TLS.ServerName,
		},
		DisableKeepAlives: true,
		ForceAttemptHTTP2: true,
	}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	a := answer{status: response.StatusCode, location: response.Header.Get("Location")}
	if !whole && h.accepts(a.status) {
		return a, nil
	}
	if a.body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer)); err != nil {
		return answer{}, fmt.Errorf("status %d, but the body broke off: %w", a.status, err)
	}
	return a, nil
}

func (h HTTP) request(ctx context.Context) (*http.Request, error) {
	var body io.Reader
	if h.Body != "" {
		body = strings.NewReader(h.Body)
	}
	method := h.Method
	if method == "" {
		method = http.MethodGet
	}
	request, err := http.NewRequestWithContext(ctx, method, h.URL, body)
	if err != nil {
		return nil, err
	}
	if user := request.URL.User; user != nil {
		password, _ := user.Password()
		request.SetBasicAuth(user.Username(), password)
	}
	for key, values := range h.Header {
		request.Header[http.CanonicalHeaderKey(key)] = values
	}
	if host := h.Header.Get("Host"); host != "" {
		request.Host = host
	}
	return request, nil
}

// judge says whether the answer is the one that is waited for.
func (h HTTP) judge(a answer) waiters.Observation {
	detail := "status " + strconv.Itoa(a.status)
	switch {
	case !h.accepts(a.status):
		if a.location != "" {
			detail += " to " + texts.Shorten(redacted(a.location)) + " (redirects are not followed)"
		} else if a.status >= 400 {
			detail = texts.WithOutput(detail, texts.LastLine(string(a.body[:min(len(a.body), 4<<10)])))
		}
		return waiters.Observation{Detail: detail}
	case h.Match != nil && !texts.Match(h.Match, a.body):
		return waiters.Observation{Detail: detail + ", but the body does not match"}
	}
	if h.JSON != nil {
		if why := h.JSON.check(a.body); why != "" {
			return waiters.Observation{Detail: detail + ", but " + why}
		}
	}
	return waiters.Observation{Holds: true, Detail: detail}
}

func (h HTTP) accepts(status int) bool {
	if len(h.Status) == 0 {
		return status >= 200 && status <= 299
	}
	for _, r := range h.Status {
		if status >= r.First && status <= r.Last {
			return true
		}
	}
	return false
}

// String is the URL, after the method where that is not GET; without a password.
func (h HTTP) String() string {
	if h.Method == "" || h.Method == http.MethodGet {
		return redacted(h.URL) // its scheme says what it is
	}
	return h.Method + " " + redacted(h.URL)
}

// References is the URL's host.
func (h HTTP) References() []string {
	u, err := url.Parse(h.URL)
	if err != nil {
		return nil
	}
	return []string{u.Hostname()}
}

// redacted is the URL without its password.
func redacted(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "(unreadable URL)"
	}
	return u.Redacted()
}
