//go:build !encore_local

package preflight

// Local is false in every build that the Encore CLI does not run itself.
const Local = false
