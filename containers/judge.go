package containers

import "context"

// Lack is something that a spec or a network asks for and an engine cannot do.
type Lack struct {
	// Key is its place below the service or network, in the words of a Compose
	// file: "volumes", "0", "volume", "subpath".
	Key []string
	// Text says what it needs, as in "needs Docker 26 (API 1.45)".
	Text string
	// Refused: the engine does not make the container. Otherwise it does, without it.
	Refused bool
}

// Judge is what an engine also is when it can tell beforehand what it cannot do.
type Judge interface {
	// Lacks and NetworkLacks change nothing, and ask the engine nothing that it
	// has not said already once it was connected to.
	Lacks(ctx context.Context, spec Spec) ([]Lack, error)
	NetworkLacks(ctx context.Context, n Network) ([]Lack, error)
}
