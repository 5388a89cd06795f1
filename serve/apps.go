package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/runner"
)

type (
	appName struct {
		Name string `path:"name" doc:"the app's name"`
	}
	putApp struct {
		Name    string `path:"name" doc:"the app's name"`
		RawBody []byte `contentType:"application/json"`
	}
	oneApp struct {
		Status int
		Body   events.App
	}
	manyApps   struct{ Body []events.App }
	appChanges struct{ Body []ledger.AppChange }
)

// fieldsSchema is what a PUT of an app has as its body.
var fieldsSchema = &huma.Schema{
	Type: huma.TypeObject, Description: "the app's fields that never change, by name: all that the stack file names under immutable",
	AdditionalProperties: &huma.Schema{OneOf: []*huma.Schema{{Type: huma.TypeString}, {Type: huma.TypeNumber}, {Type: huma.TypeBoolean}}},
	Examples:             []any{map[string]any{"partitions": 2, "workspaces": 10}},
}

func (s *server) apps(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "list-apps", Method: http.MethodGet, Path: "/v1/apps", Summary: "The apps that are registered",
		Errors: []int{http.StatusUnauthorized, http.StatusServiceUnavailable},
	}, s.listApps)
	huma.Register(api, huma.Operation{
		OperationID: "get-app", Method: http.MethodGet, Path: "/v1/apps/{name}", Summary: "What an app was deployed with",
		Errors: []int{http.StatusUnauthorized, http.StatusNotFound, http.StatusServiceUnavailable},
	}, s.getApp)
	huma.Register(api, huma.Operation{
		OperationID: "app-history", Method: http.MethodGet, Path: "/v1/apps/{name}/history", Summary: "Every change in an app's registration",
		Errors: []int{http.StatusUnauthorized, http.StatusServiceUnavailable},
	}, s.appHistory)
	huma.Register(api, huma.Operation{
		OperationID: "put-app", Method: http.MethodPut, Path: "/v1/apps/{name}", Summary: "Registers an app, or finds it registered with the same fields",
		MaxBodyBytes: bodyLimit, SkipValidateBody: true,
		Responses: map[string]*huma.Response{
			"200": {Description: "It is registered with these fields: nothing was written", Content: appContent(api)},
			"201": {Description: "It was not registered, and is now", Content: appContent(api)},
		},
		Errors: []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusServiceUnavailable},
	}, s.putApp)
	// Its own decoder reads the body, so that whatever is wrong with it is a 400.
	body := api.OpenAPI().Paths["/v1/apps/{name}"].Put.RequestBody
	body.Required, body.Content["application/json"].Schema = true, fieldsSchema
}

func appContent(api huma.API) map[string]*huma.MediaType {
	schema := huma.SchemaFromType(api.OpenAPI().Components.Schemas, typeOf[events.App]())
	return map[string]*huma.MediaType{"application/json": {Schema: schema}}
}

func (s *server) listApps(ctx context.Context, _ *struct{}) (*manyApps, error) {
	apps, err := s.Ledger.Apps(ctx, s.Stack.Name, s.EngineID)
	if err != nil {
		return nil, s.refused(err)
	}
	out := &manyApps{[]events.App{}}
	for _, name := range slices.Sorted(maps.Keys(apps)) {
		out.Body = append(out.Body, apps[name])
	}
	return out, nil
}

func (s *server) getApp(ctx context.Context, in *appName) (*oneApp, error) {
	apps, err := s.Ledger.Apps(ctx, s.Stack.Name, s.EngineID)
	if err != nil {
		return nil, s.refused(err)
	}
	app, registered := apps[in.Name]
	if !registered {
		return nil, huma.Error404NotFound("no app " + in.Name + " is registered")
	}
	return &oneApp{http.StatusOK, app}, nil
}

func (s *server) appHistory(ctx context.Context, in *appName) (*appChanges, error) {
	all, err := s.Ledger.AppHistory(ctx, s.Stack.Name)
	if err != nil {
		return nil, s.refused(err)
	}
	out := &appChanges{[]ledger.AppChange{}}
	for _, c := range all {
		if c.Name == in.Name && c.Engine == s.EngineID {
			out.Body = append(out.Body, c)
		}
	}
	return out, nil
}

func (s *server) putApp(ctx context.Context, in *putApp) (*oneApp, error) {
	fields, err := decodeFields(in.RawBody)
	if err != nil {
		return nil, huma.Error400BadRequest(s.Stack.Secrets.Text(err.Error()))
	}
	descriptor, wrong := s.Stack.Descriptor(in.Name, fields)
	if len(wrong) > 0 {
		wrong = s.Stack.Secrets.Texts(wrong)
		details := make([]error, len(wrong))
		for i, text := range wrong {
			details[i] = errors.New(text)
		}
		return nil, huma.Error400BadRequest(wrong[0], details...)
	}
	s.registering.Lock()
	defer s.registering.Unlock()
	app, made, err := runner.RegisterApp(context.WithoutCancel(ctx), runner.RegisterOptions{
		Stack: s.Stack.Name, EngineID: s.EngineID, App: in.Name, Descriptor: descriptor, Sink: s.Ledger, Ledger: s.Ledger, Run: s.Run(),
	})
	if err != nil {
		return nil, s.refused(err)
	}
	if made {
		return &oneApp{http.StatusCreated, app}, nil
	}
	return &oneApp{http.StatusOK, app}, nil
}

// decodeFields reads an object of texts, numbers and booleans, each as it is written.
func decodeFields(body []byte) (map[string]string, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var raw map[string]any
	if err := d.Decode(&raw); err != nil {
		return nil, fmt.Errorf("the body is no JSON object of fields: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the body goes on after its JSON object")
	}
	if raw == nil {
		return nil, errors.New("the body is no JSON object of fields: null")
	}
	fields := map[string]string{}
	for name, value := range raw {
		switch v := value.(type) {
		case string:
			fields[name] = v
		case json.Number, bool:
			fields[name] = fmt.Sprint(v)
		default:
			return nil, fmt.Errorf("the field %s is neither a text nor a number nor a boolean", name)
		}
	}
	return fields, nil
}
