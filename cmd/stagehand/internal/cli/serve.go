package cli

import (
	"context"
	"crypto/rand"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/loopback"
	"github.com/stagehand-dev/stagehand/serve"
)

type serveOptions struct{ listen, token string }

func (in *invocation) serve() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve [OPTIONS]",
		Short: "Offers the registry of apps and the runs over HTTP, on this machine only",
		Long: `Offers the stack's registry of apps, its runs and its lease over HTTP until Ctrl-C, on
the loopback interface only. PUT /v1/apps/NAME registers an app under the rules of
up: 201, 200 where it is registered so already, 400, 409. GET /openapi.json describes
all there is.

Each request must carry Authorization: Bearer TOKEN. The token is that of
--token-file or of $STAGEHAND_TOKEN; without these one is made, and told.`,
		Example: `  stagehand serve --token-file token
  curl -X PUT -H "Authorization: Bearer $(cat token)" \
    -d '{"partitions": 2}' http://127.0.0.1:55555/v1/apps/shop`,
		Args: flags.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return in.runServe(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.listen, "listen", loopback.Usual, "loopback `ADDRESS` to listen on; port 0 is any that is free")
	cmd.Flags().StringVar(&o.token, "token-file", "", "`FILE` with the token in it")
	return cmd
}

func (in *invocation) runServe(ctx context.Context, o serveOptions) error {
	address, err := loopback.Address(o.listen)
	if err != nil {
		return err
	}
	token, made, err := in.token(o.token)
	if err != nil {
		return err
	}
	stack, err := in.Load(ctx)
	if err != nil {
		return err
	}
	w, err := in.Tools(ctx)
	if err != nil {
		return err
	}
	info, err := w.Engine.Info(ctx)
	if err != nil {
		return exit.OfEngine(err)
	}
	listener, err := loopback.Listen(ctx, address)
	if err != nil {
		return err
	}
	in.say("serves %s at http://%s; Ctrl-C ends that", stack.Name, listener.Addr())
	if made {
		in.say("the token is %s", token)
	}
	return loopback.Serve(ctx, listener, serve.Handler(serve.Options{
		Stack: stack, Engine: w.Engine, EngineID: info.ID, Ledger: w.Ledger, Token: token, Run: runID, Version: buildVersion().Version,
	}))
}

// token finds the token, or makes one.
func (in *invocation) token(file string) (token string, made bool, err error) {
	if file == "" {
		if token := in.Getenv("STAGEHAND_TOKEN"); token != "" {
			return token, false, nil
		}
		return rand.Text(), true, nil
	}
	text, err := os.ReadFile(in.Within(file))
	if err != nil {
		return "", false, exit.Misuse("--token-file: %v", err)
	}
	token = strings.TrimSpace(string(text))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", false, exit.Misuse("--token-file %s: expected one line of letters, digits and signs", file)
	}
	return token, false, nil
}
