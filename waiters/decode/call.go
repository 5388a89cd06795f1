package decode

import (
	"net/http"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/shapes"
	"github.com/stagehand-dev/stagehand/waiters/conditions"
)

var callFields = shapes.Fields{
	shapes.Key("http", "The request: a URL, or more", shapes.Either(shapes.Matching("^[hH][tT][tT][pP][sS]?://"), shapes.Mapping(append(httpForm.fields[:len(httpForm.fields):len(httpForm.fields)], paceFields.Get("timeout")), "url"))),
	paceFields.Get("timeout"),
}

// Call reads a call: {http: URL} or {http: {url, method, …}} with the
// keys of the condition http. The method is GET, or POST where there is a
// body; timeout is the request's. Everything wrong is reported to
// s.Problems; the result is nil when the call cannot be used.
func Call(s *Scope, node *yaml.Node) *conditions.Call {
	d := &decoder{Scope: s, left: maxConditions}
	node = resolve(node)
	if !d.mapping(node, "a call", "{http: {url: …}}") {
		return nil
	}
	f := d.fields(node, "a call", callFields.Keys())
	p := &pacing{}
	p.take(f)
	if f.keys["http"] == nil {
		if f.ok {
			d.problem(node, "add http: {url: …}", "a call needs http")
		}
		return nil
	}
	h := d.http(f.values["http"], p)
	if p.Every > 0 || p.StableFor > 0 {
		f.bad(f.values["http"], "use retries: of the stage to repeat it", "a call is made once: it has no every and no stable_for")
	}
	if h == nil || !f.ok || p.bad {
		return nil
	}
	switch {
	case h.Method != "":
	case h.Body != "":
		h.Method = http.MethodPost
	default:
		h.Method = http.MethodGet
	}
	return &conditions.Call{HTTP: *h, Timeout: p.Timeout}
}
