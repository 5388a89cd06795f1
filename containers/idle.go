package containers

import "context"

// Idler is what an engine also is when it has something to run that does nothing.
type Idler interface {
	// Idle describes a container that stays until it is stopped, does nothing and may do
	// nothing: its namespaces are what it is for, which others can share. What it runs is on the engine
	// when Idle returns. The caller gives it Name, Networks and Labels.
	Idle(ctx context.Context) (Spec, error)
}

// AsIdler returns what knows of the engine's idle containers. A decorator of an engine
// has a method Idler that returns that of the engine that it decorates.
func AsIdler(e Engine) (Idler, bool) {
	switch x := e.(type) {
	case Idler:
		return x, true
	case interface{ Idler() (Idler, bool) }:
		return x.Idler()
	}
	return nil, false
}
