package decode

import (
	"net/url"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/shapes"
	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/conditions"
)

var sqlForm = form{
	"sql", "The first value that a query of PostgreSQL gives is true, or what is wanted", false, shapes.Fields{
		shapes.Key("url", "postgres://USER:PASSWORD@HOST:PORT/DATABASE; HOST is a name on the stack's network", shapes.Matching("^postgres(ql)?://")),
		shapes.Key("query", "The query", shapes.Scalar()),
		shapes.Key("equals", "The text that the first value must be", shapes.Scalar()),
		shapes.Key("at_least", "The number that the first value must be at least", shapes.Number()),
	}, []string{"url", "query"},
}

func (d *decoder) sql(node *yaml.Node, p *pacing) waiters.Condition {
	if !d.mapping(node, "sql", "{url, query}") {
		return nil
	}
	f := d.long(node, p, sqlForm)
	q := conditions.SQL{Query: f.text("query", true)}
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
	q := conditions.SQL{URL: u.String()}
	if err := q.Check(); err != nil {
		f.bad(node, expected, "%v", err)
		return ""
	}
	return q.URL
}
