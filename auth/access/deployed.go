//go:build !encore_local

package access

// Local is false in every build that the Encore CLI does not run itself.
const Local = false
