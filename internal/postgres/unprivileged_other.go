//go:build !unix

package postgres

import (
	"errors"
	"os/exec"
)

func unprivileged(*exec.Cmd, ...string) error {
	return errors.New("only on Unix: set DATABASE_URL")
}
