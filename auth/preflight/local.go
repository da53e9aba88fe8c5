//go:build encore_local

package preflight

// Local reports whether the Encore CLI compiled this program to run it on a
// developer's machine (encore run, test, check). The CLI sets the build tag
// encore_local then, and never for an image: so no setting of a deployed app can
// make it obey a developer's variables.
const Local = true
