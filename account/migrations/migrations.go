// Package migrations has the schema of the service account's database. Encore
// applies the files, as the package store does where Encore does not.
package migrations

import "embed"

// Files are named <number>_<description>.up.sql, as Encore wants them.
//
//go:embed *.up.sql
var Files embed.FS
