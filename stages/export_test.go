package stages

import "slices"

// StageKeys are the keys that a stage may have.
func StageKeys() []string { return sortedKeys(stageKeys) }

// LateKeys are those of conditions where handed-on values may stand.
func LateKeys() []string { return slices.Clone(late) }
