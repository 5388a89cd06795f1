package models

import "strings"

// Reduced copies the model, only what is needed of its services.
func Reduced(cached map[string]any, only func(string) bool) map[string]any {
	services, ok := cached["services"].(map[string]any)
	if only == nil || !ok {
		return Copied(cached).(map[string]any)
	}
	needed := Needed(services, only)
	model := make(map[string]any, len(cached))
	for key, value := range cached {
		if key != "services" {
			model[key] = Copied(value)
		}
	}
	kept := make(map[string]any, len(needed))
	referred := map[string]bool{}
	for name := range needed {
		kept[name] = Copied(services[name])
		if definition, ok := services[name].(map[string]any); ok {
			refer(definition, referred)
		}
	}
	for name, service := range services {
		if definition, ok := service.(map[string]any); ok && !needed[name] && (referred[name] || referred[anyService]) {
			kept[name] = named(definition)
		}
	}
	model["services"] = kept
	return model
}

// anyService stands for a reference that is known only when it is interpolated.
const anyService = "$"

// refer collects the names of services that a service refers to. More names
// than needed do no harm.
func refer(service map[string]any, names map[string]bool) {
	for _, key := range []string{"depends_on", "links", "volumes_from", "network_mode", "ipc", "pid", "uts", "cgroup", "build"} {
		gather(service[key], names)
	}
}

func gather(value any, names map[string]bool) {
	switch v := value.(type) {
	case string:
		if strings.Contains(v, "$") {
			names[anyService] = true
		}
		for part := range strings.SplitSeq(v, ":") {
			names[part] = true
		}
	case []any:
		for _, item := range v {
			gather(item, names)
		}
	case map[string]any:
		for key, item := range v {
			names[key] = true
			gather(item, names)
		}
	}
}

// Needed returns the services that count and those that they extend.
func Needed(services map[string]any, only func(string) bool) map[string]bool {
	needed := map[string]bool{}
	var need func(name string)
	need = func(name string) {
		if needed[name] {
			return
		}
		needed[name] = true
		service, _ := services[name].(map[string]any)
		switch e := service["extends"].(type) {
		case string:
			need(e)
		case map[string]any:
			if base, ok := e["service"].(string); ok && e["file"] == nil {
				need(base)
			}
		}
	}
	for name := range services {
		if only == nil || only(name) {
			need(name)
		}
	}
	return needed
}

// named is all that is left of a service that others may refer to.
func named(service map[string]any) map[string]any {
	left := map[string]any{"image": "left-out", "network_mode": "none"} // lest there is a network for its sake
	if profiles, ok := service["profiles"].([]any); ok {
		left["profiles"] = Copied(profiles)
	}
	return left
}

// Copied is a deep copy: compose-go changes what it is given.
func Copied(value any) any {
	switch v := value.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = Copied(e)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = Copied(e)
		}
		return l
	}
	return value
}
