package cli

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/stages"
)

// wished is what the flags and arguments of up and plan ask for.
func (in *invocation) wished(stack *stages.Stack, again again, part part) (wish runner.Wish, err error) {
	if wish.Asked, err = again.steps(stack); err != nil {
		return wish, err
	}
	wish.Part, wish.RemoveOrphans = part.Part, part.orphans || in.told("COMPOSE_REMOVE_ORPHANS")
	if len(part.Words) == 0 {
		if part.Alone {
			return wish, exit.Misuse("--no-deps: say of which SERVICE")
		}
		return wish, nil
	}
	_, err = stepsOf(stack, wish.Part)
	var unknown *plan.Unknown
	if errors.As(err, &unknown) && slices.Contains(stack.Named, unknown.Word) {
		return wish, exit.Misuse("%s has no step: no stage names it", unknown.Word)
	}
	return wish, misunderstood(err)
}

// told tells whether the variable is set to what means yes.
func (in *invocation) told(variable string) bool {
	yes, err := strconv.ParseBool(in.Getenv(variable))
	return err == nil && yes
}

// part is what the arguments of up and plan, and flags beside them, say of what they are about.
type part struct {
	plan.Part
	orphans bool
}

func (p *part) bind(f *pflag.FlagSet) {
	f.BoolVar(&p.Alone, "no-deps", false, "only the SERVICEs that are named, without what stands before them")
	f.BoolVar(&p.orphans, "remove-orphans", false, "remove containers of services that the file does not name any more")
}

// again are the flags of up and plan for what is to be done once more.
type again plan.Again

func (a *again) bind(f *pflag.FlagSet) {
	f.StringArrayVar(&a.Rerun, "rerun", nil, "do the `STEP` again although it is done, and what depends on it; a step, a stage, STAGE/APP or an app; may be repeated")
	f.StringArrayVar(&a.From, "from", nil, "do the `STAGE` and all that come after it again; services among them are made anew; may be repeated")
	f.BoolVar(&a.Services, "force-recreate", false, "make all services anew, also those that run unchanged; no helper runs again unless its work goes with them")
}

// steps are the IDs of the steps that are meant, each with the cause to tell.
func (a again) steps(stack *stages.Stack) (map[string]string, error) {
	if len(a.Rerun)+len(a.From) == 0 && !a.Services {
		return nil, nil
	}
	asked, err := plan.Again(a).Select(plan.Make(stack, plan.Facts{}, time.Now()))
	return asked, misunderstood(err)
}

// misunderstood says of a word that is unknown what may have been meant.
func misunderstood(err error) error {
	var unknown *plan.Unknown
	if errors.As(err, &unknown) {
		return exit.Misuse("%v: %s", unknown, problems.OneOf(unknown.Word, unknown.Candidates))
	}
	return err
}
