package containers

import (
	"context"
	"time"
)

// Examiner is what an engine also is when it can tell what only a check-up asks for.
type Examiner interface {
	Examine(ctx context.Context) (Vitals, error)
}

// Vitals is how an engine is.
type Vitals struct {
	// Time is the engine's clock while it answered; zero where it does not say.
	Time time.Time
	// Root is the folder that it keeps images, containers and volumes in; "" where it does
	// not say. Here tells that this is a folder of this machine.
	Root string
	Here bool
	// Traps are what is known to go wrong with engines that are set up like this one.
	Traps []Trap
}

// Trap is something that works otherwise than one would think.
type Trap struct {
	Text string
	// Mend says what to do about it.
	Mend string
}

// AdvisedError is an error of which it is known what to do about it.
type AdvisedError struct {
	Err  error
	Mend string
}

func (e *AdvisedError) Error() string { return e.Err.Error() + ": " + e.Mend }

func (e *AdvisedError) Unwrap() error { return e.Err }
