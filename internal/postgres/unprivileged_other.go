//go:build !unix

package postgres

import "os/exec"

func unprivileged(*exec.Cmd, ...string) error {
	return ErrUnavailable
}
