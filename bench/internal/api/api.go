// Package api is the engine's HTTP interface with nothing around it: what the
// fastest program that makes these calls could do, and what the benchmark
// looks and cleans up with.
package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// version of the interface: the oldest that stagehand serves has it too.
const version = "v1.41"

// LabelProject is the label by which Docker Compose and stagehand mark all
// that belongs to a project.
const LabelProject = "com.docker.compose.project"

// Client speaks to the engine behind a Unix socket. It is safe for concurrent use.
type Client struct{ http *http.Client }

// New returns a client of the engine at host, an address as in DOCKER_HOST; ""
// is Docker's own default.
func New(host string) (*Client, error) {
	if host == "" {
		host = "unix:///var/run/docker.sock"
	}
	path, ok := strings.CutPrefix(host, "unix://")
	if !ok {
		return nil, fmt.Errorf("the engine at %s is not behind a Unix socket: the comparison with its bare interface needs one", host)
	}
	var dialer net.Dialer
	transport := &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "unix", path) },
		MaxIdleConnsPerHost: 64,
	}
	return &Client{http: &http.Client{Transport: transport}}, nil
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Error is an answer of the engine that is none of success.
type Error struct {
	Status  int
	Message string
}

// Error is the status and what the engine says.
func (e *Error) Error() string { return fmt.Sprintf("engine: %d: %s", e.Status, e.Message) }

// IsNotFound tells whether the engine has no such thing.
func IsNotFound(err error) bool {
	var answer *Error
	return errors.As(err, &answer) && answer.Status == http.StatusNotFound
}

// open sends a request and returns the body of the answer, to be closed.
func (c *Client) open(ctx context.Context, method, path string, query url.Values, body any) (io.ReadCloser, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://engine/"+version+path+"?"+query.Encode(), content)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 300 && response.StatusCode != http.StatusNotModified {
		defer response.Body.Close()
		var said struct{ Message string }
		_ = json.NewDecoder(response.Body).Decode(&said) // without a message the status stands
		return nil, &Error{response.StatusCode, said.Message}
	}
	return response.Body, nil
}

// call sends a request and decodes the answer, if answer is not nil.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, body, answer any) error {
	reader, err := c.open(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer reader.Close()
	if answer != nil {
		if err := json.NewDecoder(reader).Decode(answer); err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	_, err = io.Copy(io.Discard, reader) // so that the connection is used again
	return err
}

// Version is the engine's version and its storage driver.
func (c *Client) Version(ctx context.Context) (version, driver string, err error) {
	var info struct{ ServerVersion, Driver string }
	err = c.call(ctx, http.MethodGet, "/info", nil, nil, &info)
	return info.ServerVersion, info.Driver, err
}

// Helper is a container that does one job, or stays.
type Helper struct {
	Name, Image, Project, Network string
	Command                       []string
}

// create makes the container and returns its id.
func (c *Client) create(ctx context.Context, h Helper) (id string, err error) {
	var made struct{ ID string }
	labels := map[string]string{LabelProject: h.Project}
	body := map[string]any{"Image": h.Image, "Cmd": h.Command, "Labels": labels, "HostConfig": map[string]any{"NetworkMode": h.Network}}
	err = c.call(ctx, http.MethodPost, "/containers/create", url.Values{"name": {h.Name}}, body, &made)
	return made.ID, err
}

// Run makes the calls that a helper's life takes, and no other: create, open
// the wait, start, wait, read the log, inspect, remove. It returns the exit code
// and what was printed, in the engine's frames.
func (c *Client) Run(ctx context.Context, h Helper) (code int, printed []byte, err error) {
	id, code, printed, err := c.Work(ctx, h)
	if err != nil {
		return 0, nil, err
	}
	return code, printed, c.Remove(ctx, id)
}

// Work is a helper's life as Run makes it, but for the removal.
func (c *Client) Work(ctx context.Context, h Helper) (id string, code int, printed []byte, err error) {
	fail := func(err error) (string, int, []byte, error) { return "", 0, nil, err }
	if id, err = c.create(ctx, h); err != nil {
		return fail(err)
	}
	container := "/containers/" + id
	ended, err := c.open(ctx, http.MethodPost, container+"/wait", url.Values{"condition": {"next-exit"}}, nil)
	if err != nil {
		return fail(err)
	}
	defer ended.Close()
	if err := c.call(ctx, http.MethodPost, container+"/start", nil, nil, nil); err != nil {
		return fail(err)
	}
	var end struct{ StatusCode int }
	if err := json.NewDecoder(ended).Decode(&end); err != nil {
		return fail(fmt.Errorf("wait for %s: %w", h.Name, err))
	}
	logs, err := c.open(ctx, http.MethodGet, container+"/logs", url.Values{"stdout": {"1"}, "stderr": {"1"}}, nil)
	if err != nil {
		return fail(err)
	}
	printed, err = io.ReadAll(logs)
	logs.Close()
	if err != nil {
		return fail(err)
	}
	var found struct{ State struct{ ExitCode int } }
	if err := c.call(ctx, http.MethodGet, container+"/json", nil, nil, &found); err != nil {
		return fail(err)
	}
	return id, found.State.ExitCode, printed, nil
}

// Launch makes and starts what is to stay.
func (c *Client) Launch(ctx context.Context, h Helper) (id string, err error) {
	if id, err = c.create(ctx, h); err != nil {
		return "", err
	}
	return id, c.call(ctx, http.MethodPost, "/containers/"+id+"/start", nil, nil, nil)
}

// Exec runs a command in a container that runs, and returns its exit code.
func (c *Client) Exec(ctx context.Context, id string, command []string) (code int, err error) {
	var made struct{ ID string }
	body := map[string]any{"Cmd": command, "AttachStdout": true, "AttachStderr": true}
	if err := c.call(ctx, http.MethodPost, "/containers/"+id+"/exec", nil, body, &made); err != nil {
		return 0, err
	}
	// What it prints ends with it.
	if err := c.call(ctx, http.MethodPost, "/exec/"+made.ID+"/start", nil, map[string]any{"Detach": false}, nil); err != nil {
		return 0, err
	}
	var found struct{ ExitCode int }
	err = c.call(ctx, http.MethodGet, "/exec/"+made.ID+"/json", nil, nil, &found)
	return found.ExitCode, err
}

// Remove removes a container, running or not. One that is gone is no error.
func (c *Client) Remove(ctx context.Context, id string) error {
	err := c.call(ctx, http.MethodDelete, "/containers/"+id, url.Values{"force": {"1"}, "v": {"1"}}, nil, nil)
	if IsNotFound(err) {
		return nil
	}
	return err
}

// CreateNetwork makes a bridge of the project.
func (c *Client) CreateNetwork(ctx context.Context, name, project string) error {
	body := map[string]any{"Name": name, "Driver": "bridge", "CheckDuplicate": true, "Labels": map[string]string{LabelProject: project}}
	return c.call(ctx, http.MethodPost, "/networks/create", nil, body, nil)
}

// Container is one of a list.
type Container struct {
	ID    string `json:"Id"`
	Names []string
	// State is created, running, exited and so on; Status tells also the health, in words.
	State, Status string
}

func filter(labels ...string) url.Values {
	text, _ := json.Marshal(map[string][]string{"label": labels}) // strings never fail
	return url.Values{"filters": {string(text)}}
}

// Containers of a project, ended ones too.
func (c *Client) Containers(ctx context.Context, project string) ([]Container, error) {
	query := filter(LabelProject + "=" + project)
	query.Set("all", "1")
	var list []Container
	err := c.call(ctx, http.MethodGet, "/containers/json", query, nil, &list)
	return list, err
}

// Projects whose names begin with prefix, as far as containers, networks or
// volumes of them stand.
func (c *Client) Projects(ctx context.Context, prefix string) ([]string, error) {
	type labelled struct{ Labels map[string]string }
	var containers, networks []labelled
	var volumes struct{ Volumes []labelled }
	query := filter(LabelProject)
	if err := c.call(ctx, http.MethodGet, "/networks", query, nil, &networks); err != nil {
		return nil, err
	}
	if err := c.call(ctx, http.MethodGet, "/volumes", query, nil, &volumes); err != nil {
		return nil, err
	}
	query.Set("all", "1")
	if err := c.call(ctx, http.MethodGet, "/containers/json", query, nil, &containers); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var projects []string
	for _, list := range [][]labelled{containers, networks, volumes.Volumes} {
		for _, item := range list {
			if name := item.Labels[LabelProject]; strings.HasPrefix(name, prefix) && !seen[name] {
				seen[name] = true
				projects = append(projects, name)
			}
		}
	}
	return projects, nil
}

// RemoveProject removes all that a project has on the engine.
func (c *Client) RemoveProject(ctx context.Context, project string) error {
	list, err := c.Containers(ctx, project)
	if err != nil {
		return err
	}
	var problems []error
	for _, container := range list {
		problems = append(problems, c.Remove(ctx, container.ID))
	}
	query := filter(LabelProject + "=" + project)
	var networks []struct{ ID string }
	var volumes struct{ Volumes []struct{ Name string } }
	problems = append(problems, c.call(ctx, http.MethodGet, "/networks", query, nil, &networks), c.call(ctx, http.MethodGet, "/volumes", query, nil, &volumes))
	for _, n := range networks {
		problems = append(problems, c.call(ctx, http.MethodDelete, "/networks/"+n.ID, nil, nil, nil))
	}
	for _, v := range volumes.Volumes {
		problems = append(problems, c.call(ctx, http.MethodDelete, "/volumes/"+v.Name, nil, nil, nil))
	}
	return errors.Join(problems...)
}

// RemoveImage takes a tag away; one that is gone is no error.
func (c *Client) RemoveImage(ctx context.Context, ref string) error {
	err := c.call(ctx, http.MethodDelete, "/images/"+ref, nil, nil, nil)
	if IsNotFound(err) {
		return nil
	}
	return err
}

// Load puts an image archive onto the engine.
func (c *Client) Load(ctx context.Context, archive []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://engine/"+version+"/images/load?quiet=1", bytes.NewReader(archive))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-tar")
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || bytes.Contains(text, []byte(`"error"`)) {
		return &Error{response.StatusCode, string(text)}
	}
	return nil
}

// Event is something that the engine says has happened to a container.
type Event struct {
	// Action is die or exec_die.
	Action string
	// Name is the container's, ExitCode its own or that of the command in it.
	Name, ExitCode string
	At             time.Time
}

// Follow follows the ends of a project's containers, and of commands in them, until
// ctx is done. ready is called when the engine listens: every later one is told.
func (c *Client) Follow(ctx context.Context, project string, ready func(), tell func(Event)) error {
	text, err := json.Marshal(map[string][]string{"type": {"container"}, "event": {"die", "exec_die"}, "label": {LabelProject + "=" + project}})
	if err != nil {
		return err
	}
	stream, err := c.open(ctx, http.MethodGet, "/events", url.Values{"filters": {string(text)}}, nil)
	if err != nil {
		return err
	}
	defer stream.Close()
	ready()
	for d := json.NewDecoder(stream); ; {
		var e struct {
			Action   string
			TimeNano int64 `json:"timeNano"`
			Actor    struct{ Attributes map[string]string }
		}
		if err := d.Decode(&e); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		tell(Event{e.Action, e.Actor.Attributes["name"], e.Actor.Attributes["exitCode"], time.Unix(0, e.TimeNano)})
	}
}
