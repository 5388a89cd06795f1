package events

import "time"

// AppState is how far the deployment of an app has come.
type AppState string

// The states.
const (
	// Deploying: a step of the app was begun and none is known to be done. Whatever
	// that step has made by now, it made with this descriptor.
	Deploying AppState = "deploying"
	// Deployed: a step of the app is done.
	Deployed AppState = "deployed"
	// Removed: the app is forgotten, as its data is gone.
	Removed AppState = "removed"
)

// App is an app as it is registered: with which fields it was deployed, which may not change any more.
type App struct {
	Name   string `json:"name"`
	Stack  string `json:"stack"`
	Engine string `json:"engine"` // the engine's ID
	// State is deploying or deployed.
	State AppState `json:"state"`
	// Descriptor holds the fields by name, counts in their plain form.
	Descriptor map[string]string `json:"descriptor"`
	// Run and Time are those of the event that brought it to this state.
	Run  string    `json:"run"`
	Time time.Time `json:"time"`
}

// Registers tells what an event says of the registration of its app, "" for nothing. The
// beginning of a step says it before the step does anything, so that nothing is ever
// made with a descriptor that is not recorded.
func (e Event) Registers() AppState {
	switch {
	case e.App == "":
	case e.Kind == AppRemoved:
		return Removed
	case len(e.Descriptor) == 0:
	case e.Kind == RunStarted: // a run for nothing else
		return Deployed
	case e.Kind == StepStarted:
		return Deploying
	case e.Kind == StepEnded && e.Outcome.OK() && e.Error == "":
		return Deployed
	}
	return ""
}
