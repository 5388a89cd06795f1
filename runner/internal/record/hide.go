package record

import (
	"slices"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/secrets"
)

// hide is the event as everybody may see it: the one place where secrets leave what a run tells.
// Names and hashes, by which later runs find things again, stay as they are: the stack's files spell them
// out. Parts were made without secrets (plan.PartsOf).
func (r *Recorder) hide(e events.Event) events.Event {
	m := r.Secrets
	e.Cause, e.Error, e.Logs = m.Text(e.Cause), m.Text(e.Error), m.Texts(e.Logs)
	if e.Inspect != nil {
		i := *e.Inspect
		i.Error, i.HealthLog = m.Text(i.Error), m.Text(i.HealthLog)
		e.Inspect = &i
	}
	if e.Progress != nil {
		p := *e.Progress
		p.Text, p.Unit = m.Text(p.Text), m.Text(p.Unit)
		e.Progress = &p
	}
	if len(e.Settled) > 0 {
		e.Settled = slices.Clone(e.Settled)
		for i := range e.Settled {
			e.Settled[i].Cause = m.Text(e.Settled[i].Cause)
		}
	}
	if len(e.Values) > 0 {
		values := make(map[string]string, len(e.Values))
		for key, value := range e.Values {
			if !secrets.Sealed(value) && (secrets.Named(key) || m.Text(value) != value) {
				value, _ = r.Key.Seal(value) // not kept then: the step is done again when it is needed
			}
			values[key] = value
		}
		e.Values = values
	}
	return e
}
