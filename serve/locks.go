package serve

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stagehand-dev/stagehand/containers"
)

// lock is a lease that is held.
type lock struct {
	Stack  string            `json:"stack"`
	Holder containers.Holder `json:"holder"`
}

type locks struct{ Body []lock }

func (s *server) locks(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "list-locks", Method: http.MethodGet, Path: "/v1/locks", Summary: "Who is at work on the stack",
		Errors: []int{http.StatusUnauthorized, http.StatusServiceUnavailable},
	}, s.listLocks)
}

func (s *server) listLocks(ctx context.Context, _ *struct{}) (*locks, error) {
	out := &locks{[]lock{}}
	leaser, can := containers.AsLeaser(s.Engine)
	if !can {
		return out, nil
	}
	holder, err := leaser.LeaseHolder(ctx, s.Stack.Name)
	switch {
	case errors.Is(err, containers.ErrNotFound):
	case err != nil:
		return nil, s.refused(err)
	default:
		out.Body = append(out.Body, lock{s.Stack.Name, holder})
	}
	return out, nil
}
