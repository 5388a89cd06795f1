package waiters

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgtype"
	"gopkg.in/yaml.v3"
)

// SQL holds when the first value of the query's first row is true, or is
// Equals, or is at least AtLeast. The database is PostgreSQL. Errors of the
// server (not ready yet, no such table) are what was seen, not an end of the wait.
type SQL struct {
	// URL is postgres://USER:PASSWORD@HOST:PORT/DATABASE. Its password appears in
	// no text that this package makes.
	URL   string
	Query string
	// Equals is compared by text, or by number where both are numbers. NULL equals nothing.
	Equals *string
	// AtLeast is compared by number.
	AtLeast *float64
}

// Look connects, asks and disconnects.
func (q SQL) Look(ctx context.Context, w World) (Observation, error) {
	config, err := q.config()
	if err != nil {
		return Observation{}, &Dead{Reason: q.String() + ": " + err.Error()}
	}
	d := &dialer{w: w}
	config.DialFunc = func(ctx context.Context, _, address string) (net.Conn, error) { return d.dial(ctx, address) }
	// Names are the stack network's: only the engine can look them up.
	config.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	// A query that is cut off is cancelled on the server too: otherwise each
	// look would leave one more behind.
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: time.Second}
	}
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return q.failed(ctx, d, err)
	}
	defer func() {
		// Also after ctx's end the server should hear that we are gone.
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), statusLimit)
		defer cancel()
		_ = conn.Close(closing) // the answer is here already
	}()
	v, err := first(conn.Exec(ctx, q.Query))
	if err != nil {
		return q.failed(ctx, d, err)
	}
	return q.judge(v), nil
}

// value is the first value of the last result that has columns.
type value struct {
	columns, rows bool
	oid           uint32
	text          []byte // nil for NULL
}

// first reads the results to their end and keeps only the value.
func first(results *pgconn.MultiResultReader) (value, error) {
	var v value
	for results.NextResult() {
		r := results.ResultReader()
		for n := 0; r.NextRow(); n++ {
			if values := r.Values(); n == 0 && len(values) > 0 {
				v = value{columns: true, rows: true, oid: r.FieldDescriptions()[0].DataTypeOID, text: bytes.Clone(values[0])}
			}
		}
		if tag, err := r.Close(); err == nil && tag.RowsAffected() == 0 && len(r.FieldDescriptions()) > 0 {
			v = value{columns: true}
		}
	}
	return v, results.Close()
}

// config is how pgconn connects. Its errors carry no password.
func (q SQL) config() (*pgconn.Config, error) {
	config, err := pgconn.ParseConfig(q.URL)
	if err != nil {
		return nil, fmt.Errorf("the URL cannot be used: %s", q.hide(err.Error()))
	}
	return config, nil
}

// failed says what was seen in place of a result.
func (q SQL) failed(ctx context.Context, d *dialer, err error) (Observation, error) {
	var answer *pgconn.PgError
	if ctx.Err() == nil && errors.As(err, &answer) {
		return Observation{Detail: shorten(q.hide(answer.Message))}, nil
	}
	o, err := d.verdict(ctx, err)
	o.Detail = q.hide(o.Detail)
	return o, err
}

func (q SQL) judge(v value) Observation {
	switch {
	case !v.columns:
		return Observation{Detail: "the query returns nothing"}
	case !v.rows:
		return Observation{Detail: "no row"}
	case v.text == nil:
		return Observation{Detail: "NULL"}
	}
	value := string(v.text)
	o := Observation{Detail: shorten(q.hide(value))}
	switch {
	case q.Equals != nil:
		o.Holds = sameText(value, *q.Equals)
	case q.AtLeast != nil:
		n, err := strconv.ParseFloat(value, 64)
		if o.Holds = err == nil && n >= *q.AtLeast; err != nil {
			o.Detail += " is not a number"
		}
	case v.oid == pgtype.BoolOID:
		o.Holds = value == "t"
		o.Detail = strconv.FormatBool(o.Holds)
	default:
		o.Holds = value == "t" || value == "true"
		if !o.Holds {
			o.Detail += " is not true (see equals and at_least)"
		}
	}
	return o
}

// hide takes the password out of a text.
func (q SQL) hide(text string) string {
	u, err := url.Parse(q.URL)
	if err != nil {
		return "(not shown, since its URL cannot be read)"
	}
	password, _ := u.User.Password()
	if password == "" {
		password = u.Query().Get("password")
	}
	if password == "" {
		return text
	}
	return strings.NewReplacer(password, "xxxxx", url.QueryEscape(password), "xxxxx", url.PathEscape(password), "xxxxx").Replace(text)
}

func (q SQL) limit() time.Duration { return 30 * time.Second }

// String is "sql URL: QUERY", without user, password and parameters.
func (q SQL) String() string {
	where := "(unreadable URL)"
	if u, err := url.Parse(q.URL); err == nil {
		where = u.Host + u.Path
	}
	text := "sql " + where + ": " + shorten(q.hide(q.Query))
	switch {
	case q.Equals != nil:
		text += " = " + shorten(q.hide(*q.Equals))
	case q.AtLeast != nil:
		text += " >= " + strconv.FormatFloat(*q.AtLeast, 'f', -1, 64)
	}
	return text
}

// References is the URL's host.
func (q SQL) References() []string {
	u, err := url.Parse(q.URL)
	if err != nil {
		return nil
	}
	return []string{u.Hostname()}
}

func (d *decoder) sql(node *yaml.Node, p *pacing) Condition {
	if !d.mapping(node, "sql", "{url, query}") {
		return nil
	}
	f := d.long(node, p, "sql", "url", "query", "equals", "at_least")
	q := SQL{Query: f.text("query", true)}
	if text := f.text("url", true); text != "" {
		q.URL = f.postgres(text)
	}
	if f.keys["equals"] != nil {
		text, ok := d.text(f.values["equals"], "equals")
		f.ok = f.ok && ok
		q.Equals = &text
	}
	if f.keys["at_least"] != nil {
		n, ok := d.number(f.values["at_least"], "at_least")
		f.ok = f.ok && ok
		q.AtLeast = &n
		if q.Equals != nil {
			f.bad(f.keys["at_least"], "keep one of them", "equals and at_least cannot stand together")
		}
	}
	if !f.ok {
		return nil
	}
	return q
}

// postgres checks the URL and resolves its host.
func (f *fields) postgres(text string) string {
	const expected = "expected postgres://USER:PASSWORD@HOST:PORT/DATABASE"
	node := f.values["url"]
	u, err := url.Parse(text)
	switch {
	case err != nil:
		f.bad(node, expected, "the URL cannot be read")
		return ""
	case u.Scheme != "postgres" && u.Scheme != "postgresql":
		f.bad(node, expected, "this is no postgres URL")
		return ""
	case u.Hostname() == "" || u.Query().Has("host") || u.Query().Has("hostaddr"):
		f.bad(node, expected, "the URL must name its host before the path")
		return ""
	case !goodPort(u.Port()) || u.Query().Has("port"):
		f.bad(node, expected, "the port cannot be %q", u.Port())
		return ""
	}
	setHost(u, f.d.host(node, u.Hostname()))
	q := SQL{URL: u.String()}
	if _, err := q.config(); err != nil {
		f.bad(node, expected, "%v", err)
		return ""
	}
	return q.URL
}
