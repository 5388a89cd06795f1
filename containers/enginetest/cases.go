package enginetest

import "slices"

// Cases returns all cases of the contract, in the order in which they are
// best read: from a single container to the engine's own end.
func Cases() []Case {
	return slices.Concat(lifeCases, logCases, fileCases, networkCases, engineCases, leaseCases)
}
