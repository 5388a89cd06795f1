package endpoint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
)

// explain says what an engine that does not answer needs. The client drops
// the cause of a failed connection, so a socket or port is tried once more, alone.
func (c Candidate) explain(ctx context.Context, err error) error {
	if cause := c.dial(ctx); cause != nil {
		err = cause
	}
	where := c.Display()
	hint := ""
	var invalid *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.Is(err, os.ErrNotExist):
		hint = "there is no such socket: is the engine installed, and its daemon running (systemctl start docker)?"
	case errors.Is(err, os.ErrPermission):
		hint = "no permission on the socket: run as root, or join its group (usermod -aG docker USER) and log in again"
	case errors.Is(err, syscall.ECONNREFUSED):
		hint = "nothing listens there: is the daemon running (systemctl start docker)?"
	case errors.As(err, &invalid), errors.As(err, &authority):
		hint = "its certificate is not trusted: check DOCKER_CERT_PATH, or the context's TLS files"
	case refusesClient(err):
		hint = "it wants a certificate of yours that its authority signed: check cert.pem and key.pem in DOCKER_CERT_PATH, or the context's TLS files"
	case strings.Contains(err.Error(), "TLS-enabled daemon without TLS"), strings.Contains(err.Error(), "HTTP request to an HTTPS server"):
		hint = "it wants TLS: set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH"
	case errors.Is(err, exec.ErrNotFound):
		hint = "an ssh:// address needs the ssh command here"
	case c.Scheme() == "ssh":
		hint = "does `ssh HOST docker version` work without asking for anything?"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		hint = "no answer in time: is the address right, does a firewall stand between?"
	default:
		hint = "is the daemon running?"
	}
	return &containers.AdvisedError{Err: fmt.Errorf("%s (%s): %w", where, c.From, err), Mend: hint}
}

// refusesClient tells the alerts with which a server says that it has no use
// for the client's certificate, or misses one.
func refusesClient(err error) bool {
	text := err.Error()
	for _, alert := range []string{"certificate required", "bad certificate", "unknown certificate authority"} {
		if strings.Contains(text, "remote error: tls: "+alert) {
			return true
		}
	}
	return false
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// dial opens and closes a connection and returns why it could not.
func (c Candidate) dial(ctx context.Context) error {
	var dialer net.Dialer
	// ctx may be over already: the second attempt has a short time of its own.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	network, address := "unix", c.SocketPath()
	if address == "" {
		if c.Scheme() != "tcp" {
			return nil
		}
		network, address = "tcp", strings.TrimSuffix(strings.TrimPrefix(c.Host, "tcp://"), "/")
	}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	return conn.Close()
}
