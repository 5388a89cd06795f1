package docker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/enginetest"
)

// shakeHands does the server's part where conn is one of TLS. To a client that
// speaks plain HTTP it answers as Docker's daemon does.
func shakeHands(conn net.Conn) bool {
	secured, ok := conn.(*tls.Conn)
	if !ok {
		return true
	}
	err := secured.Handshake()
	var plain tls.RecordHeaderError
	if errors.As(err, &plain) && plain.Conn != nil {
		_, _ = io.WriteString(plain.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
	}
	return err == nil
}

// authority signs certificates of servers at 127.0.0.1 and of clients.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	text        []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the test's authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{certificate, key, block("CERTIFICATE", der)}
}

func block(kind string, content []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content})
}

// sign makes a certificate and its key.
func (a *authority) sign(t *testing.T, usage x509.ExtKeyUsage, addresses ...net.IP) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "of the test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage}, IPAddresses: addresses,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &private.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return block("CERTIFICATE", der), block("EC PRIVATE KEY", encoded)
}

// newSecured puts TLS, with a check of the client's certificate, in front of
// the engine's socket, at a port of 127.0.0.1.
func newSecured(t *testing.T, ca *authority, at net.IP) *cutter {
	t.Helper()
	far := socketOfEngine(t)
	server, err := tls.X509KeyPair(ca.sign(t, x509.ExtKeyUsageServerAuth, at))
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(ca.certificate)
	config := &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert}
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := first.Addr().String()
	c := &cutter{address: "tcp://" + address, far: far}
	c.listen = func() (net.Listener, error) {
		listener := first
		if first = nil; listener == nil { // back after it was severed
			var err error
			if listener, err = net.Listen("tcp", address); err != nil {
				return nil, err
			}
		}
		return tls.NewListener(listener, config), nil
	}
	c.begin(t)
	return c
}

// write puts files by name into the folder.
func write(t *testing.T, folder string, files map[string][]byte) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// clientFiles are what DOCKER_CERT_PATH and a context hold, by Docker's names.
func (a *authority) clientFiles(t *testing.T) map[string][]byte {
	t.Helper()
	certificate, key := a.sign(t, x509.ExtKeyUsageClientAuth)
	return map[string][]byte{"ca.pem": a.text, "cert.pem": certificate, "key.pem": key}
}

var loopback = net.IPv4(127, 0, 0, 1)

func TestContractOverTLS(t *testing.T) {
	needActor(t)
	ca, folder := newAuthority(t), t.TempDir()
	write(t, folder, ca.clientFiles(t))
	t.Setenv("DOCKER_TLS_VERIFY", "1")
	t.Setenv("DOCKER_CERT_PATH", folder)
	enginetest.Run(t, func(t *testing.T) enginetest.Harness {
		return harnessOver(t, newSecured(t, ca, loopback))
	})
}

func TestEngineOverTLS(t *testing.T) {
	needActor(t)
	ca, folder := newAuthority(t), t.TempDir()
	write(t, folder, ca.clientFiles(t))
	t.Setenv("DOCKER_HOST", newSecured(t, ca, loopback).address)
	t.Setenv("DOCKER_TLS_VERIFY", "1")
	t.Setenv("DOCKER_CERT_PATH", folder)
	testRemote(t)
}

func TestEngineOverTLSOfAContext(t *testing.T) {
	needActor(t)
	ca, folder := newAuthority(t), t.TempDir()
	sum := sha256.Sum256([]byte("far"))
	id := hex.EncodeToString(sum[:])
	write(t, filepath.Join(folder, "contexts", "meta", id), map[string][]byte{"meta.json": fmt.Appendf(nil,
		`{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":%q,"SkipTLSVerify":false}}}`, newSecured(t, ca, loopback).address)})
	write(t, filepath.Join(folder, "contexts", "tls", id, "docker"), ca.clientFiles(t))
	t.Setenv("DOCKER_HOST", "")
	t.Setenv("DOCKER_CONFIG", folder)
	t.Setenv("DOCKER_CONTEXT", "far")
	testRemote(t)
}

func TestTLSRefusalsSayWhatIsWrong(t *testing.T) {
	needActor(t)
	ca, other := newAuthority(t), newAuthority(t)
	good, foreign := ca.clientFiles(t), other.clientFiles(t)
	here, elsewhere := newSecured(t, ca, loopback), newSecured(t, ca, net.IPv4(192, 0, 2, 1))
	for _, test := range []struct {
		name  string
		files map[string][]byte // nil: no TLS at all
		at    *cutter
		want  string
	}{
		{"another authority", map[string][]byte{"ca.pem": foreign["ca.pem"], "cert.pem": good["cert.pem"], "key.pem": good["key.pem"]}, here, "its certificate is not trusted"},
		{"a certificate for another address", good, elsewhere, "its certificate is not trusted"},
		{"no certificate of the client's", map[string][]byte{"ca.pem": good["ca.pem"]}, here, "it wants a certificate of yours"},
		{"the client's certificate of another authority", map[string][]byte{"ca.pem": good["ca.pem"], "cert.pem": foreign["cert.pem"], "key.pem": foreign["key.pem"]}, here, "it wants a certificate of yours"},
		{"no TLS", nil, here, "it wants TLS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("DOCKER_HOST", test.at.address)
			t.Setenv("DOCKER_TLS_VERIFY", "")
			t.Setenv("DOCKER_CERT_PATH", "")
			if test.files != nil {
				folder := t.TempDir()
				write(t, folder, test.files)
				t.Setenv("DOCKER_TLS_VERIFY", "1")
				t.Setenv("DOCKER_CERT_PATH", folder)
			}
			engine, err := Open(t.Context(), Options{})
			if err == nil {
				_ = engine.Close()
			}
			if !errors.Is(err, containers.ErrUnavailable) || !strings.Contains(err.Error(), test.at.address) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want ErrUnavailable that names %s and says %q", err, test.at.address, test.want)
			}
		})
	}
}
