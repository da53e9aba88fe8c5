package main

import (
	"os/exec"
	"syscall"
)

// endWithThisProcess makes the command end with this process, however it ends.
func endWithThisProcess(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
