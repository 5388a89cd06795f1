package containers

import (
	"cmp"
	"context"
	"slices"
)

// OfStack are the labels of all that belongs to a stack: what stagehand made,
// and what docker compose made for the project of that name.
func OfStack(name string) map[string]string { return map[string]string{LabelProject: name} }

// ListStack returns the containers that belong to a stack, by name, but those
// of docker compose run, which are nobody's service.
func ListStack(ctx context.Context, e Engine, name string) ([]Status, error) {
	list, err := e.List(ctx, OfStack(name))
	return slices.DeleteFunc(list, func(s Status) bool { return s.Labels[LabelOneoff] == "True" }), err
}

// ListRun returns the containers of a stack that a run made and that still stand, by name, but those
// of stagehand's own, which print nothing.
func ListRun(ctx context.Context, e Engine, stack, run string) ([]Status, error) {
	list, err := e.List(ctx, map[string]string{LabelStack: stack, LabelRun: run})
	return slices.DeleteFunc(list, func(s Status) bool { return Aside(s.Labels) }), err
}

// MadeByCompose tells of a container's labels that docker compose made it, and
// not stagehand.
func MadeByCompose(labels map[string]string) bool {
	return labels[LabelStack] == "" && labels[LabelProject] != ""
}

// StackOf is the stack that a container with these labels belongs to, "" for none.
func StackOf(labels map[string]string) string {
	return cmp.Or(labels[LabelStack], labels[LabelProject])
}

// RoleOf is the role of a container with these labels. One that docker compose
// made is a service: that it may be a helper only the stack's file tells.
func RoleOf(labels map[string]string) string {
	if MadeByCompose(labels) {
		return RoleService
	}
	return labels[LabelRole]
}
