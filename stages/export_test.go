package stages

import (
	"slices"

	"github.com/stagehand-dev/stagehand/stages/internal/declared"
)

// StageKeys are the keys that a stage may have.
func StageKeys() []string { return declared.Keys() }

// LateKeys are those of conditions where handed-on values may stand.
func LateKeys() []string { return slices.Clone(late) }
