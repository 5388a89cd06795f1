package upgradestest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// model is an upgrade as one would tell it: one process, no claims, no transactions, everything in lists
// that are gone through from the beginning each time.
type model struct {
	at, to string // "" for none
	steps  []*modelStep

	land  *land
	acts  []string
	death death
	// claims are what the dead still hold, batches and, as batch -1, steps: others pass them over and come to them last. The
	// value tells of a batch that it was ready: nobody needs it but for a tenant that is set aside. claim is this turn's own.
	claims map[claim]bool
	claim  *claim
	// changed: a tenant was upgraded in this turn, or a step's part before the tenants.
	changed bool
}

type modelStep struct {
	from, to         string
	prepared, listed bool
	tenants          []*modelTenant
}

func (s *modelStep) String() string { return s.from + " → " + s.to }

type modelTenant struct {
	name, state string
	attempts    int
}

type claim struct{ step, batch int }

// hold is what this turn works on, until the next call.
func (m *model) hold(step, batch int) { m.claim = &claim{step, batch} }

// wait is until what the dead hold is free.
func (m *model) wait() { m.claims = nil }

// died leaves behind what this turn held.
func (m *model) died() {
	if m.claim == nil {
		return
	}
	if m.claims == nil {
		m.claims = map[claim]bool{}
	}
	ready := false
	if b := m.claim.batch; b >= 0 {
		ready = !m.batch(m.claim.step, b).open()
	}
	m.claims[*m.claim] = ready
}

func (m *model) batch(step, batch int) *modelStep {
	all := m.steps[step].tenants
	return &modelStep{tenants: all[batch*modelBatch : min((batch+1)*modelBatch, len(all))]}
}

// killed is how a turn ends in a death.
type killed struct{}

func (m *model) turn(act, version, tenant string) (changed bool, ending string) {
	defer func() {
		if died := recover(); died == (killed{}) {
			ending = "dead"
			m.died()
		} else if died != nil {
			panic(died)
		}
	}()
	m.changed, m.claim = false, nil
	if why := m.begin(version); why != "" {
		return false, why
	}
	switch act {
	case "one":
		return m.one(tenant)
	case "all":
		if m.to != "" {
			for i, s := range m.steps {
				for j, t := range s.tenants {
					if t.state == "set_aside" {
						t.state, t.attempts = "pending", 0
						if c := (claim{i, j / modelBatch}); m.claims[c] {
							m.claims[c] = false
						}
					}
				}
			}
		}
		ending = m.walk()
		return m.changed, ending
	}
	return false, m.walk()
}

// begin says why the version is refused, or notes what leads to it.
func (m *model) begin(version string) string {
	number, _, _ := strings.Cut(version, "+")
	switch {
	case m.to != "":
		if m.to != version {
			return "under way"
		}
		return ""
	case m.at == "":
		m.at = version
		return ""
	case m.at == version:
		return ""
	case slices.Index(modelVersions, version) < slices.Index(modelVersions, m.at):
		return "older"
	case version == "1.3":
		return "gap"
	}
	was, _, _ := strings.Cut(m.at, "+")
	m.to, m.steps, m.claims = version, nil, nil
	switch {
	case was == number: // 1.2 → 1.2+1, by the step to 1.2; none leads to 1.0
		m.steps = []*modelStep{{from: m.at, to: version}}
	case was == "1.0" && number == "1.2":
		m.steps = []*modelStep{{from: m.at, to: "1.1"}, {from: "1.1", to: version}}
	default:
		m.steps = []*modelStep{{from: m.at, to: version}}
	}
	return ""
}

// act does something, if the process still lives then.
func (m *model) act(name string) {
	if m.death.at != len(m.acts) {
		m.acts = append(m.acts, name)
		return
	}
	if m.death.after {
		m.acts = append(m.acts, name)
	}
	panic(killed{})
}

func (m *model) there(tenant string) bool { return slices.Contains(m.land.tenants, tenant) }

// open are the tenants of a step that are pending.
func (s *modelStep) open() bool {
	return slices.ContainsFunc(s.tenants, func(t *modelTenant) bool { return t.state == "pending" })
}

func (s *modelStep) find(tenant string) *modelTenant {
	for _, t := range s.tenants {
		if t.name == tenant {
			return t
		}
	}
	return nil
}

// before does what comes before the tenants of step i.
func (m *model) before(i int) {
	s := m.steps[i]
	if _, held := m.claims[claim{i, -1}]; held {
		m.wait()
	}
	m.hold(i, -1)
	if !s.prepared {
		m.act("prepare " + s.String())
		s.prepared = true
	}
	m.act("cluster " + s.String())
	s.listed, m.changed = true, true
	for _, name := range m.land.tenants {
		t := &modelTenant{name: name, state: "pending"}
		if i > 0 {
			if b := m.steps[i-1].find(name); b != nil && b.state == "set_aside" {
				t.state = "set_aside"
			}
		}
		s.tenants = append(s.tenants, t)
	}
}

// try tries a tenant once that has failed so often.
func (m *model) try(i int, t *modelTenant, attempts int) {
	m.act(t.name + " " + m.steps[i].String())
	switch {
	case !m.there(t.name) && !rude(t.name):
		m.settle(i, t.name, "deleted")
	case !m.there(t.name), m.land.broken[t.name]:
		if t.attempts = attempts + 1; t.attempts > modelRetries {
			m.settle(i, t.name, "set_aside")
		}
	default:
		t.state, m.changed = "ready", true
	}
}

func (m *model) settle(i int, tenant, state string) {
	for j, s := range m.steps[i:] {
		if t := s.find(tenant); t != nil && (j == 0 || t.state == "pending" || t.state == "set_aside") {
			t.state = state
		}
	}
}

// finish ends the upgrade where nothing is left of it.
func (m *model) finish() bool {
	for _, s := range m.steps {
		if !s.listed || slices.ContainsFunc(s.tenants, func(t *modelTenant) bool { return t.state == "pending" || t.state == "set_aside" }) {
			return false
		}
	}
	if m.to != "" {
		m.at, m.to = m.to, ""
	}
	return true
}

func (m *model) walk() string {
	if m.to == "" {
		return "done"
	}
	for i, s := range m.steps {
		if !s.listed {
			m.before(i)
		}
		m.batches(i, len(s.tenants))
		if slices.ContainsFunc(slices.Collect(maps.Keys(m.claims)), func(c claim) bool { return c.step == i && !m.claims[c] }) {
			m.wait()
			m.batches(i, len(s.tenants))
		}
		m.claim = nil
	}
	if m.finish() {
		return "done"
	}
	left := map[string]bool{}
	for i, s := range m.steps {
		for _, t := range s.tenants {
			if t.state != "set_aside" {
				continue
			}
			if m.there(t.name) {
				left[t.name] = true
			} else {
				m.settle(i, t.name, "deleted")
			}
		}
	}
	if m.finish() {
		return "done"
	}
	return "set aside: " + strings.Join(sortedKeys(left), " ")
}

// batches goes through those of a step that the dead do not hold.
func (m *model) batches(i, tenants int) {
	for b := range (tenants + modelBatch - 1) / modelBatch {
		if _, held := m.claims[claim{i, b}]; held {
			continue
		}
		m.hold(i, b)
		for batch := m.batch(i, b); batch.open(); {
			for _, t := range batch.tenants {
				if t.state == "pending" {
					m.try(i, t, t.attempts)
				}
			}
		}
	}
}

func (m *model) one(tenant string) (changed bool, ending string) {
	defer m.finish()
	for i, s := range m.steps {
		if m.to == "" {
			break
		}
		if !s.listed {
			if slices.ContainsFunc(m.steps[:i], func(b *modelStep) bool { return !b.listed || b.open() }) {
				return changed, "done"
			}
			m.before(i)
			if m.finish() {
				break
			}
		}
		t := s.find(tenant)
		switch {
		case t == nil && !m.there(tenant):
			return changed, "no tenant"
		case t == nil || t.state == "ready" || t.state == "deleted":
			continue
		}
		b := slices.Index(s.tenants, t) / modelBatch
		if _, held := m.claims[claim{i, b}]; held {
			m.wait()
		}
		m.hold(i, b)
		was := t.state
		for attempts := 0; attempts <= modelRetries && t.state == was; attempts++ {
			m.try(i, t, attempts)
		}
		switch t.state {
		case "set_aside":
			return changed, "set aside: " + tenant
		case "ready":
			changed = true
		}
		if m.finish() {
			break
		}
	}
	if m.to == "" && !changed && !m.there(tenant) {
		return changed, "no tenant"
	}
	return changed, "done"
}

// recorded is what the model has, as lines like those of a store.
func (m *model) recorded() []string {
	lines := []string{fmt.Sprintf("at %q, to %q", m.at, m.to)}
	for _, s := range m.steps {
		lines = append(lines, fmt.Sprintf("%s prepared=%t listed=%t", s, s.prepared, s.listed))
		for i, t := range s.tenants {
			lines = append(lines, fmt.Sprintf("%d %s %s", i/modelBatch, t.name, t.state))
		}
	}
	return lines
}

func sortedKeys(set map[string]bool) []string {
	var keys []string
	for k := range set {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
