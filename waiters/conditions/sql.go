package conditions

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

	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/internal/jsonpath"
	"github.com/stagehand-dev/stagehand/waiters/internal/texts"
)

// closeLimit bounds the good-bye to a server.
const closeLimit = 5 * time.Second

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
func (q SQL) Look(ctx context.Context, w waiters.World) (waiters.Observation, error) {
	config, err := q.config()
	if err != nil {
		return waiters.Observation{}, &waiters.Dead{Reason: q.String() + ": " + err.Error()}
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
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
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

// Check tells why URL cannot be used; nil if it can. The error carries no password.
func (q SQL) Check() error {
	_, err := q.config()
	return err
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
func (q SQL) failed(ctx context.Context, d *dialer, err error) (waiters.Observation, error) {
	var answer *pgconn.PgError
	if ctx.Err() == nil && errors.As(err, &answer) {
		return waiters.Observation{Detail: texts.Shorten(q.hide(answer.Message))}, nil
	}
	o, err := d.verdict(ctx, err)
	o.Detail = q.hide(o.Detail)
	return o, err
}

func (q SQL) judge(v value) waiters.Observation {
	switch {
	case !v.columns:
		return waiters.Observation{Detail: "the query returns nothing"}
	case !v.rows:
		return waiters.Observation{Detail: "no row"}
	case v.text == nil:
		return waiters.Observation{Detail: "NULL"}
	}
	value := string(v.text)
	o := waiters.Observation{Detail: texts.Shorten(q.hide(value))}
	switch {
	case q.Equals != nil:
		o.Holds = jsonpath.SameText(value, *q.Equals)
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

// Limit leaves a query time to count.
func (q SQL) Limit() time.Duration { return 30 * time.Second }

// String is "sql URL: QUERY", without user, password and parameters.
func (q SQL) String() string {
	where := "(unreadable URL)"
	if u, err := url.Parse(q.URL); err == nil {
		where = u.Host + u.Path
	}
	text := "sql " + where + ": " + texts.Shorten(q.hide(q.Query))
	switch {
	case q.Equals != nil:
		text += " = " + texts.Shorten(q.hide(*q.Equals))
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
