package upgrades

import "fmt"

// Listed is what a Store records of a step's tenants: each once, in their order, in batches of size. aside are
// those that were set aside in the step before it.
func Listed(step int, tenants []string, size int, before Step, aside []string) []TenantStatus {
	seen, left := make(map[string]bool, len(tenants)), make(map[string]bool, len(aside))
	for _, name := range aside {
		left[name] = true
	}
	out := make([]TenantStatus, 0, len(tenants))
	for _, name := range tenants {
		if seen[name] {
			continue
		}
		seen[name] = true
		t := TenantStatus{Tenant: name, Step: step, Batch: len(out) / max(size, 1), State: TenantPending}
		if left[name] {
			t.State, t.Error = TenantSetAside, Carried(before)
		}
		out = append(out, t)
	}
	return out
}

// Carried is what a Store records as the error of a tenant in the steps after the one that it was set aside in.
func Carried(s Step) string { return fmt.Sprintf("set aside in the step %s", s) }
