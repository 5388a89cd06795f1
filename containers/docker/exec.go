package docker

import (
	"context"
	"io"
	"sync"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/backoff"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/failure"
)

// Exec implements containers.Execer.
func (e *Engine) Exec(ctx context.Context, name string, command []string, output io.Writer) (int, error) {
	return e.Hook(ctx, name, containers.Hook{Command: command}, output)
}

// Hook implements containers.Execer.
func (e *Engine) Hook(ctx context.Context, name string, hook containers.Hook, output io.Writer) (int, error) {
	options, err := execOptions(name, hook)
	if err != nil {
		return 0, err
	}
	made, err := e.api.ContainerExecCreate(ctx, name, options)
	if err != nil {
		return 0, failure.Of(ctx, err, "exec in container %s", name)
	}
	attached, err := e.api.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{})
	if err != nil {
		return 0, failure.Of(ctx, err, "exec in container %s", name)
	}
	closeOnce := sync.OnceFunc(attached.Close)
	defer closeOnce()
	defer context.AfterFunc(ctx, closeOnce)()
	if output == nil {
		output = io.Discard
	}
	_, err = stdcopy.StdCopy(output, output, attached.Reader)
	if err != nil {
		return 0, failure.Of(ctx, err, "exec in container %s", name)
	}
	return e.execEnd(ctx, name, made.ID)
}

func execOptions(name string, hook containers.Hook) (container.ExecOptions, error) {
	if len(hook.Command) == 0 {
		return container.ExecOptions{}, failure.Invalid("exec in container %s: the command is empty", name)
	}
	return container.ExecOptions{
		Cmd: hook.Command, User: hook.User, Privileged: hook.Privileged, WorkingDir: hook.WorkingDir, Env: hook.Env,
		AttachStdout: true, AttachStderr: true,
	}, nil
}

// execEnd is the exit code of a command whose output has ended.
func (e *Engine) execEnd(ctx context.Context, name, id string) (int, error) {
	// The output's end comes a moment before the engine has written the exit
	// code down; a process that closed its output lives on.
	for pause := (backoff.Backoff{}); ; {
		state, err := e.api.ContainerExecInspect(ctx, id)
		if err != nil {
			return 0, failure.Of(ctx, err, "exec in container %s", name)
		}
		if !state.Running {
			return state.ExitCode, nil
		}
		if err := pause.Wait(ctx); err != nil {
			return 0, failure.Of(ctx, err, "exec in container %s", name)
		}
	}
}
