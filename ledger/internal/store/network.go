package store

import (
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"syscall"
)

// isNetwork tells errors of a connection from all others.
func isNetwork(err error) bool {
	var failed net.Error
	return errors.As(err, &failed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}
