package decode

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/shapes"
	"github.com/stagehand-dev/stagehand/waiters/conditions"
)

// maxCA is the largest file of certificates that is read, in bytes.
const maxCA = 1 << 20

var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

var httpForm = form{
	"http", "A URL answers with a 2xx; its host is a name on the stack's network", true, shapes.Fields{
		shapes.Key("url", "http://HOST:PORT/PATH or https://…", shapes.Matching("^[hH][tT][tT][pP][sS]?://")),
		shapes.Key("method", "The method (default GET; of a call with a body POST)", shapes.Scalar()),
		shapes.Key("headers", "The request's headers, by name", shapes.Open("", shapes.Scalar())),
		shapes.Key("body", "The request's body", shapes.Scalar()),
		shapes.Key("status", "Which answers are good (default 2xx): a code, a class (2xx), a range (200-299), or a list of those", shapes.OneOrMore(statusShape)),
		shapes.Key("match", "A regular expression (Go's, RE2) that the body must match", shapes.Scalar()),
		shapes.Key("json", "A value that the body, which is JSON, must have", shapes.Mapping(jsonFields, "path")),
		shapes.Key("tls", "How the server's certificate is checked, for https://", shapes.Mapping(tlsFields)),
	}, []string{"url"},
}

var statusShape = shapes.Either(shapes.Whole(100, 599), shapes.Matching("^([1-5][xX][xX]|[0-9]{3} *- *[0-9]{3})$"))

var tlsFields = shapes.Fields{
	shapes.Key("insecure", "true takes any certificate (default false)", shapes.Bool()),
	shapes.Key("ca", "The authorities that are trusted: PEM text, or a PEM file's path from the stack file's folder", shapes.Scalar()),
	shapes.Key("server_name", "The name that the certificate must be for (default the URL's host)", shapes.Scalar()),
}

// http reads an HTTP; nil when it cannot be used.
func (d *decoder) http(node *yaml.Node, p *pacing) *conditions.HTTP {
	if text, short := d.short(node); short {
		u := d.url(node, text)
		if u == "" {
			return nil
		}
		return &conditions.HTTP{URL: u}
	}
	if !d.mapping(node, "http", "a URL, or {url, method, status, match, json, …}") {
		return nil
	}
	f := d.long(node, p, httpForm)
	h := &conditions.HTTP{Body: f.text("body", false), Match: f.pattern("match", false)}
	if text := f.text("url", true); text != "" {
		h.URL = d.url(f.values["url"], text)
		f.ok = f.ok && h.URL != ""
	}
	if method := f.text("method", false); method != "" {
		h.Method = strings.ToUpper(method)
		if !isToken(h.Method) {
			f.bad(f.values["method"], problems.OneOf(h.Method, methods), "method cannot be %q", method)
		}
	}
	f.headers(h)
	f.status(h)
	f.json(h)
	f.tls(h)
	if !f.ok {
		return nil
	}
	return h
}

// url checks an http URL and resolves its host; "" when it cannot be used.
func (d *decoder) url(node *yaml.Node, text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		d.problem(node, "expected http://HOST:PORT/PATH", "the URL cannot be read%s", why(text, err))
		return ""
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		d.problem(node, "expected http://HOST:PORT/PATH or https://…", "this is no http URL: %q", u.Redacted())
		return ""
	}
	if !goodPort(u.Port()) {
		d.problem(node, "expected a port from 1 to 65535", "the port cannot be %q", u.Port())
		return ""
	}
	setHost(u, d.host(node, u.Hostname()))
	return u.String()
}

// goodPort tells whether a URL's port can be dialled; none is good.
func goodPort(port string) bool {
	if port == "" {
		return true
	}
	n, err := strconv.Atoi(port)
	return err == nil && n >= 1 && n <= 65535
}

// setHost puts another host into the URL.
func setHost(u *url.URL, host string) {
	if host == u.Hostname() {
		return
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port := u.Port(); port != "" {
		host += ":" + port
	}
	u.Host = host
}

// isToken tells whether text can be a method or a header's name. Source: RFC 9110, section 5.6.2.
func isToken(text string) bool {
	for _, r := range text {
		if (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r) {
			return false
		}
	}
	return text != ""
}

func (f *fields) headers(h *conditions.HTTP) {
	node := f.values["headers"]
	if node == nil {
		return
	}
	if !f.d.mapping(node, "headers", "a mapping of names to values") {
		f.ok = false
		return
	}
	h.Header = http.Header{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := resolve(node.Content[i]), resolve(node.Content[i+1])
		if key == nil || !isToken(key.Value) {
			f.bad(node.Content[i], "", "a header cannot be called %s", describe(key))
			continue
		}
		text, ok := f.d.text(value, "the header "+key.Value)
		if ok && strings.ContainsAny(text, "\r\n\x00") {
			f.bad(value, "", "a header's value must be one line")
		}
		f.ok = f.ok && ok
		h.Header.Add(key.Value, text)
	}
}

// status reads 200, 2xx, 200-299 or a list of those.
func (f *fields) status(h *conditions.HTTP) {
	node := f.values["status"]
	if node == nil {
		return
	}
	items := []*yaml.Node{node}
	if node.Kind == yaml.SequenceNode {
		items = node.Content
		if len(items) == 0 {
			f.bad(node, "expected status codes, such as [200, 201]", "status must not be empty")
		}
	}
	for _, item := range items {
		item = resolve(item)
		text, ok := f.d.text(item, "status")
		if !ok {
			f.ok = false
			continue
		}
		r, ok := parseStatus(text)
		if !ok {
			f.bad(item, "expected a code (200), a class (2xx) or a range (200-299)", "status cannot be %q", text)
			continue
		}
		h.Status = append(h.Status, r)
	}
}

func parseStatus(text string) (conditions.StatusRange, bool) {
	if len(text) == 3 && strings.HasSuffix(strings.ToLower(text), "xx") && text[0] >= '1' && text[0] <= '5' {
		first := int(text[0]-'0') * 100
		return conditions.StatusRange{First: first, Last: first + 99}, true
	}
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	first, err1 := strconv.Atoi(strings.TrimSpace(from))
	last, err2 := strconv.Atoi(strings.TrimSpace(to))
	return conditions.StatusRange{First: first, Last: last}, err1 == nil && err2 == nil && first >= 100 && last <= 599 && first <= last
}

func (f *fields) tls(h *conditions.HTTP) {
	node := f.values["tls"]
	if node == nil {
		return
	}
	if !f.d.mapping(node, "tls", "{insecure, ca, server_name}") {
		f.ok = false
		return
	}
	t := f.d.fields(node, "tls", tlsFields.Keys())
	h.TLS.ServerName = t.text("server_name", false)
	h.TLS.Insecure = t.flag("insecure")
	if ca := t.text("ca", false); ca != "" {
		pool, err := certificates(f.d.File, ca)
		if err != nil {
			t.bad(t.values["ca"], "expected the path of a PEM file, from the stack file's folder, or PEM text", "ca cannot be used: %v", err)
		}
		h.TLS.CA = pool
	}
	if h.URL != "" && !strings.HasPrefix(h.URL, "https:") {
		t.bad(f.keys["tls"], "write https://… or leave tls out", "tls has no meaning for an http:// URL")
	}
	f.ok = f.ok && t.ok
}

// flag is true or false.
func (f *fields) flag(key string) bool {
	text := f.text(key, false)
	switch strings.ToLower(text) {
	case "true":
		return true
	case "false", "":
	default:
		f.bad(f.values[key], "expected true or false", "%s cannot be %q", key, text)
	}
	return false
}

// certificates reads PEM text, or a PEM file whose path starts in file's folder.
func certificates(file, ca string) (*x509.CertPool, error) {
	text := []byte(ca)
	if !strings.Contains(ca, "-----BEGIN") {
		path := ca
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(file), path)
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() || info.Size() > maxCA {
			return nil, fmt.Errorf("%s is not a file of at most %d bytes", path, maxCA)
		}
		if text, err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("it holds no certificate")
	}
	return pool, nil
}

// why says what is wrong with a URL; nothing where that could be a piece of a password.
func why(text string, err error) string {
	var e *url.Error
	if strings.Contains(text, "@") || !errors.As(err, &e) {
		return ""
	}
	return ": " + e.Err.Error()
}
