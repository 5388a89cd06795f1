package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"time"

	"github.com/spf13/pflag"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/runner"
)

// lockTimeout is how long the runs of others are waited for. The default is
// longer than most stacks take to come up, and shorter than a CI job's limit.
type lockTimeout time.Duration

const defaultLockTimeout = 10 * time.Minute

func (l *lockTimeout) bind(flags *pflag.FlagSet) {
	flags.DurationVar((*time.Duration)(l), "lock-timeout", defaultLockTimeout, "wait for another run on the same stack for at most this `DURATION`; 0 does not wait")
}

// lock says how the run takes the stack's lease.
func (in *invocation) lock(l lockTimeout) (runner.Lock, error) {
	timeout := time.Duration(l)
	if timeout < 0 {
		return runner.Lock{}, exit.Misuse("--lock-timeout %s: expected 0 or more", timeout)
	}
	return runner.Lock{
		Holder: in.holder(), Timeout: timeout,
		Waiting: func(h containers.Holder) {
			in.say("waiting for %s, at work on the stack for %s; giving up after %s (--lock-timeout)", h, h.Age(time.Now()).Round(time.Second), timeout)
		},
	}, nil
}

// holder is who this process is to those who wait for it.
func (in *invocation) holder() containers.Holder {
	h := containers.Holder{PID: os.Getpid(), User: in.Getenv("USER")}
	h.Host, _ = os.Hostname() // nobody needs it but to find the process
	if h.User == "" {
		if u, err := user.Current(); err == nil {
			h.User = u.Username
		} else {
			h.User = fmt.Sprint("uid ", os.Getuid())
		}
	}
	return h
}

// leaseHolder looks who is at work on the stack; nil when nobody is.
func leaseHolder(ctx context.Context, engine containers.Engine, stack string) (*containers.Holder, error) {
	leaser, ok := containers.AsLeaser(engine)
	if !ok {
		return nil, nil
	}
	holder, err := leaser.LeaseHolder(ctx, stack)
	if errors.Is(err, containers.ErrNotFound) {
		return nil, nil
	}
	return &holder, err
}
