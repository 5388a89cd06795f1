package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account that PostgreSQL runs as: it refuses to run as root.
const account = "postgres"

// becomePostgres gives the volume to the postgres account and becomes it, if
// the container was started as root. Volumes come up owned by root on engines
// that do not copy the image's folder into them.
func becomePostgres(volume string) error {
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup(account)
	if err != nil {
		return fmt.Errorf("find the account to run PostgreSQL as: %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return fmt.Errorf("account %s: user id %q: %w", account, u.Uid, err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return fmt.Errorf("account %s: group id %q: %w", account, u.Gid, err)
	}
	if err := os.MkdirAll(volume, 0o755); err != nil {
		return err
	}
	// Not again when it is done: a change to the folder is what some engines
	// date a volume by (Docker 20.10 reports its ctime as the creation's).
	if info, err := os.Stat(volume); err != nil {
		return err
	} else if owner, ok := info.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != uid || int(owner.Gid) != gid {
		if err := os.Chown(volume, uid, gid); err != nil {
			return fmt.Errorf("give %s to %s: %w", volume, account, err)
		}
	}
	return errors.Join(syscall.Setgroups([]int{gid}), syscall.Setgid(gid), syscall.Setuid(uid))
}

// lockData takes the data directory for this container alone. PostgreSQL's own
// postmaster.pid cannot do it: another container's process ids mean nothing
// here. The kernel frees the lock when its holder dies, however it dies.
func lockData(volume string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(volume, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the data directory's lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another container holds the data directory %s: %w", volume, err)
	}
	return func() { f.Close() }, nil
}
