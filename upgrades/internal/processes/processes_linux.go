package processes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// name is PLACE/PID/START: the boot and the namespace in which the PID counts, and when in that
// boot the process began, as PIDs are used again.
func name(pid int) string {
	start, err := started(pid)
	if err != nil || place() == "" {
		return ""
	}
	return fmt.Sprintf("%s/%d/%s", place(), pid, start)
}

func place() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(boot)) + " " + namespace
}

// started is the time of the process's start, in ticks since the boot; a process that has ended and was not waited for counts as none.
func started(pid int) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// Source: proc(5): the name, in parentheses, may hold anything; state is field 3, starttime 22.
	fields := strings.Fields(string(text)[strings.LastIndexByte(string(text), ')')+1:])
	if len(fields) < 20 {
		return "", fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return "", fs.ErrNotExist
	}
	return fields[19], nil
}

func dead(named string) bool {
	rest, here := strings.CutPrefix(named, place()+"/")
	var pid int
	var start string
	if n, err := fmt.Sscanf(rest, "%d/%s", &pid, &start); !here || place() == "" || err != nil || n != 2 {
		return false
	}
	now, err := started(pid)
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) || err == nil && now != start
}
