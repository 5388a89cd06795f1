package containers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The errors that every engine reports, to be told apart with errors.Is. Any
// other error means that the engine did not do what was asked and that it is
// unknown how much of it was done.
var (
	// ErrNotFound: the engine answered that the named object does not exist.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the name is taken by something that is not this spec's,
	// or the object is in use by others.
	ErrConflict = errors.New("conflict")
	// ErrImage: the image is neither on the engine nor to be had by pulling.
	ErrImage = errors.New("image not available")
	// ErrUnavailable: the engine does not answer. The call may have been
	// carried out all the same; repeating it is safe.
	ErrUnavailable = errors.New("engine does not answer")
	// ErrUnreachable: an address inside the stack's network did not accept a
	// connection (refused, no such host, no route): a result, not a broken engine.
	ErrUnreachable = errors.New("unreachable")
	// ErrInvalid: the engine will never accept this spec.
	ErrInvalid = errors.New("invalid")
)

// Engine runs containers. Every call may be repeated with the same arguments
// after any failure and ends in the same state: a caller that lost a response
// calls again. All methods are safe for concurrent use. A call ends soon
// after its ctx does, with ctx's error.
type Engine interface {
	// Info identifies the engine. ErrUnavailable when it does not answer.
	Info(ctx context.Context) (Info, error)

	// EnsureImage makes the image available, pulling it as policy says.
	// Progress of a pull, if any, is told to progress, which may be nil.
	// ErrImage when there is no such image.
	EnsureImage(ctx context.Context, ref, platform string, policy Pull, progress func(string)) (Image, error)

	// EnsureNetwork and EnsureVolume find the object by name or make it, and
	// return what stands there. External objects are only looked up:
	// ErrNotFound when they are not there.
	EnsureNetwork(ctx context.Context, n Network) error
	EnsureVolume(ctx context.Context, v Volume) (VolumeStatus, error)
	// RemoveNetwork and RemoveVolume return once the name is free; a name
	// that was free already is no error. ErrConflict while in use.
	RemoveNetwork(ctx context.Context, name string) error
	RemoveVolume(ctx context.Context, name string) error
	// ListNetworks and ListVolumes return what carries all the given labels, by name.
	ListNetworks(ctx context.Context, labels map[string]string) ([]string, error)
	ListVolumes(ctx context.Context, labels map[string]string) ([]VolumeStatus, error)

	// Create finds the container by spec.Name or makes it, files copied in,
	// not started. One that stands there already is returned as it is when it
	// carries the same LabelSpec; otherwise ErrConflict, with the status of
	// what is there. ErrImage when the image is missing: Create never pulls.
	// A container that a failed Create left half-made (no files yet) is
	// finished or made anew by the next Create.
	Create(ctx context.Context, spec Spec) (Status, error)
	// Start starts a created or ended container. Running already: no error.
	Start(ctx context.Context, name string) error
	// Status looks once. ErrNotFound when there is no such container.
	Status(ctx context.Context, name string) (Status, error)
	// Wait blocks until the container has ended and returns its status, whose
	// exit code is the true one. It may be called before Start, then it waits for
	// the end after the start. A container that vanishes while it is waited
	// for gives ErrNotFound: its exit code is unknown, and unknown is never
	// success.
	Wait(ctx context.Context, name string) (Status, error)
	// Logs reads what the container has printed; with opts.Follow it goes on until
	// the container has ended or ctx is done. It works for running and ended
	// containers alike. The reader gives whole lines as the container wrote
	// them, both streams in the engine's order.
	Logs(ctx context.Context, name string, opts LogOptions) (io.ReadCloser, error)
	// Stop sends the container's stop signal, waits at most grace, then
	// kills. It returns the status after the end. Ended already: no error.
	// grace 0 kills at once.
	Stop(ctx context.Context, name string, grace time.Duration) (Status, error)
	// Destroy kills the container if it runs, removes it with its anonymous volumes
	// and returns once the name is free. Free already: no error.
	Destroy(ctx context.Context, name string) error
	// List returns the containers, ended ones too, that carry all the given
	// labels, sorted by name. Their status is complete.
	List(ctx context.Context, labels map[string]string) ([]Status, error)
	// Events tells each change of a container that carries the labels to
	// handle, in order, from now on, until ctx is done (then it returns ctx's
	// error) or the stream breaks (then it returns why; the caller lists what
	// there is and calls again). ready, if not nil, is called once the stream
	// is open: what happens after that is told.
	Events(ctx context.Context, labels map[string]string, ready func(), handle func(Event)) error

	// Dial opens a connection to HOST:PORT as a container on the given network would,
	// wherever the engine is. HOST is a name or an address on that network.
	// ErrUnreachable when nothing accepts the connection.
	Dial(ctx context.Context, network, address string) (net.Conn, error)

	// Close ends connections to the engine. Containers go on.
	Close() error
}

// Execer is what an engine also is when it can run a command inside a
// running container.
type Execer interface {
	// Exec runs the command and returns its exit code; what it prints goes to
	// output (both streams, at most what fits, may be nil). ErrNotFound when there
	// is no such container, ErrConflict when it does not run.
	Exec(ctx context.Context, name string, command []string, output io.Writer) (exitCode int, err error)
	// Hook is Exec of a command of which more is said.
	Hook(ctx context.Context, name string, hook Hook, output io.Writer) (exitCode int, err error)
}

// Attacher is what an engine also is when a person can work in a container.
type Attacher interface {
	// Attach starts the container, which was made with OpenStdin and TTY and does not run yet,
	// and gives it the terminal until it has ended or ctx is done. A read of Stdin
	// that is under way then goes on.
	Attach(ctx context.Context, name string, t Terminal) error
	// AttachExec is Execer.Hook of a command that reads t.Stdin, and has a TTY where t.Sizes is not nil.
	AttachExec(ctx context.Context, name string, hook Hook, t Terminal) (exitCode int, err error)
}

// Terminal is what a container, or a command in one, is attached to.
type Terminal struct {
	Stdin io.Reader
	// Stdout has both streams of what has a TTY; Stderr is for the rest.
	Stdout, Stderr io.Writer
	// Sizes tells the size at the beginning and after each change.
	Sizes <-chan TerminalSize
}

// TerminalSize in characters.
type TerminalSize struct{ Width, Height int }

// Copier is what an engine also is when it can read and write files of a
// container, running or not.
type Copier interface {
	CopyIn(ctx context.Context, name string, files []File) error
	// CopyOut returns the content of one regular file. ErrNotFound when
	// container or file is not there.
	CopyOut(ctx context.Context, name, path string) ([]byte, error)
}

// Walker is what an engine also is when it can read all that is in a folder of
// a container, running or not, started or not.
type Walker interface {
	// Walk tells each file below the folder that is not itself a folder, in any
	// order: its path relative to the folder and its content (of a symbolic
	// link, where it leads), to be read before tell returns. ErrNotFound when
	// container or folder is not there; tell's error ends it and is returned.
	Walk(ctx context.Context, name, folder string, tell func(path string, content io.Reader) error) error
}

// Info is what an engine says of itself.
type Info struct {
	// Kind is docker, podman, memory, ...
	Kind    string `json:"kind"`
	Version string `json:"version"`
	API     string `json:"api,omitempty"`
	// ID is stable over restarts of the engine and differs between engines:
	// what is recorded holds for one stack on one engine.
	ID string `json:"id"`
	// Endpoint is how it was reached, for people; without passwords.
	Endpoint string `json:"endpoint"`
	OS       string `json:"os,omitempty"`
	Arch     string `json:"arch,omitempty"`
}

// Image is an image on the engine.
type Image struct {
	Ref string `json:"ref"`
	// ID is the digest of the image's configuration: it changes when what a
	// tag points to changes.
	ID string `json:"id"`
}

// VolumeStatus is a volume on the engine.
type VolumeStatus struct {
	Name string `json:"name"`
	// Created is when EnsureVolume made it; zero where somebody else did and
	// the engine cannot tell.
	Created time.Time         `json:"created"`
	Labels  map[string]string `json:"labels,omitempty"`
}

// State is where a container stands in its life.
type State string

// The states. Removing counts as Exited.
const (
	StateCreated    State = "created"
	StateRunning    State = "running"
	StatePaused     State = "paused"
	StateRestarting State = "restarting"
	StateExited     State = "exited"
)

// Health is the engine's own opinion of a container.
type Health string

// The states of health; HealthNone where the container has no healthcheck.
const (
	HealthNone      Health = ""
	HealthStarting  Health = "starting"
	HealthHealthy   Health = "healthy"
	HealthUnhealthy Health = "unhealthy"
)

// Status is what an engine knows of a container at one moment.
type Status struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Image   string `json:"image"`
	ImageID string `json:"image_id"`
	State   State  `json:"state"`
	// ExitCode counts only when State is StateExited. 128+N after signal N.
	ExitCode  int    `json:"exit_code"`
	OOMKilled bool   `json:"oom_killed,omitempty"`
	Error     string `json:"error,omitempty"` // the engine's words when a start failed
	Health    Health `json:"health,omitempty"`
	// HealthLog is what the last failed healthcheck printed.
	HealthLog string `json:"health_log,omitempty"`
	Restarts  int    `json:"restarts,omitempty"`
	// Created, Started, Finished are the engine's clock; zero when not yet.
	Created  time.Time `json:"created"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`

	Labels map[string]string `json:"labels,omitempty"`
	// Volumes are the names of the volumes that it mounts.
	Volumes []string `json:"volumes,omitempty"`
	// Networks holds its addresses by network name.
	Networks map[string]string `json:"networks,omitempty"`
	Ports    []Binding         `json:"ports,omitempty"`
	// Exposed are the ports that spec and image name, published or not, as
	// PORT/PROTOCOL, by number.
	Exposed []string `json:"exposed,omitempty"`
}

// Running tells whether the container's main process is alive.
func (s Status) Running() bool {
	return s.State == StateRunning || s.State == StatePaused || s.State == StateRestarting
}

// HalfStarted tells whether the engine was killed while it started the container. The process
// lives, and holds its address, but the engine that came back knows of no start
// and no network, and gives the address to the next container: moby keeps no
// record of a start before its end.
func (s Status) HalfStarted() bool { return s.State == StateRunning && s.Started.IsZero() }

// Ended tells whether the container has run and come to an end.
func (s Status) Ended() bool { return s.State == StateExited }

// Verdict says in words how an ended container ended: "exit 0", "exit 3",
// "killed (SIGKILL, exit 137)", "out of memory (exit 137)".
func (s Status) Verdict() string {
	switch {
	case !s.Ended():
		return string(s.State)
	case s.OOMKilled:
		return fmt.Sprintf("out of memory (exit %d)", s.ExitCode)
	case s.ExitCode == 137:
		return "killed (SIGKILL, exit 137)"
	case s.ExitCode > 128 && s.ExitCode < 128+65:
		if name := signalNames[s.ExitCode-128]; name != "" {
			return fmt.Sprintf("ended by %s (exit %d)", name, s.ExitCode)
		}
	}
	if s.Error != "" {
		return fmt.Sprintf("exit %d: %s", s.ExitCode, s.Error)
	}
	return fmt.Sprintf("exit %d", s.ExitCode)
}

var signalNames = map[int]string{
	1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 6: "SIGABRT", 8: "SIGFPE", 9: "SIGKILL",
	10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM",
}

// Binding is a published port as it really is.
type Binding struct {
	HostIP    string `json:"host_ip,omitempty"`
	Host      uint16 `json:"host"`
	Container uint16 `json:"container"`
	Protocol  string `json:"protocol"`
}

// SortPorts puts ports, PORT/PROTOCOL each, in the order of their numbers, each once.
func SortPorts(ports []string) []string {
	number := func(port string) int {
		digits, _, _ := strings.Cut(port, "/")
		n, err := strconv.Atoi(digits)
		if err != nil {
			return 1 << 16 // behind all that are numbers
		}
		return n
	}
	slices.SortFunc(ports, func(a, b string) int { return cmp.Or(cmp.Compare(number(a), number(b)), strings.Compare(a, b)) })
	return slices.Compact(ports)
}

// LogOptions choose what Logs reads. The zero value is all there is until now.
type LogOptions struct {
	Follow bool
	// Ahead, with Follow and nothing else, is for a container that is made and not started yet: its log
	// from the first byte on, and its end soon after the container's. An engine that cannot
	// promise that of the container answers errors.ErrUnsupported, and is asked again once it runs.
	Ahead bool
	// Tail is the number of last lines to begin with; 0 means all.
	Tail int
	// Since leaves out what is older, by the engine's clock; zero means all.
	Since time.Time
	// Timestamps puts an RFC 3339 time and a space before each line.
	Timestamps bool
}

// Event is one change in a container's life.
type Event struct {
	Time time.Time
	// Kind is created, started, ended, destroyed, oom or health.
	Kind   EventKind
	ID     string
	Name   string
	Labels map[string]string
	// ExitCode counts when Kind is EventEnded.
	ExitCode int
	// Health counts when Kind is EventHealth.
	Health Health
}

// EventKind is the kind of an Event.
type EventKind string

// The kinds of engine events.
const (
	EventCreated   EventKind = "created"
	EventStarted   EventKind = "started"
	EventEnded     EventKind = "ended"
	EventDestroyed EventKind = "destroyed"
	EventOOM       EventKind = "oom"
	EventHealth    EventKind = "health"
)
