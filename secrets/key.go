package secrets

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// sealed stands before a sealed text.
const sealed = "sealed:"

// keySize is that of AES-256, in bytes.
const keySize = 32

// Key seals texts that must be kept, and yet must not be read where they are kept: AES-256-GCM,
// by a key in a file of the user's own. The file is made when a text is first sealed. It is safe for concurrent use. nil opens nothing and seals nothing.
type Key struct {
	path string
	mu   sync.Mutex
	aead cipher.AEAD
}

// KeyAt is the key in the file at path.
func KeyAt(path string) *Key { return &Key{path: path} }

// NewKey is one that is kept nowhere: what it seals can be opened in this process.
func NewKey() *Key {
	var bytes [keySize]byte
	_, _ = rand.Read(bytes[:]) // never fails, as of Go 1.24
	aead, err := aeadOf(bytes[:])
	if err != nil {
		panic("secrets: " + err.Error())
	}
	return &Key{aead: aead}
}

// ErrSealed: a sealed text cannot be opened: its key is another one, or lost.
var ErrSealed = errors.New("is sealed with another key")

// Sealed tells whether a text is one that Seal has made.
func Sealed(text string) bool { return strings.HasPrefix(text, sealed) }

// Seal makes a text that only Open of the same key can read. Without a key, and where
// its file cannot be had, it is one that nobody can; the error then says why.
func (k *Key) Seal(text string) (string, error) {
	if k == nil {
		return sealed, nil
	}
	aead, err := k.use(true)
	if err != nil {
		return sealed, err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce)
	return sealed + base64.RawStdEncoding.EncodeToString(aead.Seal(nonce, nonce, []byte(text), nil)), nil
}

// Open reads what Seal has made; another text it returns as it is. The error is
// ErrSealed, or that of the key's file.
func (k *Key) Open(text string) (string, error) {
	coded, was := strings.CutPrefix(text, sealed)
	if !was {
		return text, nil
	}
	if k == nil || coded == "" {
		return "", ErrSealed
	}
	aead, err := k.use(false)
	if err != nil {
		return "", err
	}
	content, err := base64.RawStdEncoding.DecodeString(coded)
	if err != nil || len(content) < aead.NonceSize() {
		return "", ErrSealed
	}
	plain, err := aead.Open(nil, content[:aead.NonceSize()], content[aead.NonceSize():], nil)
	if err != nil {
		return "", ErrSealed
	}
	return string(plain), nil
}

// use reads the key, and makes its file where there is none and one is wanted.
func (k *Key) use(wanted bool) (cipher.AEAD, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.aead != nil {
		return k.aead, nil
	}
	text, err := os.ReadFile(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		if !wanted {
			return nil, ErrSealed
		}
		text, err = makeKey(k.path)
	}
	if err != nil {
		return nil, fmt.Errorf("the key of the ledger's secrets: %w", err)
	}
	bytes, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(bytes) != keySize {
		return nil, fmt.Errorf("the key of the ledger's secrets: %s does not hold %d bytes in base64", k.path, keySize)
	}
	k.aead, err = aeadOf(bytes)
	return k.aead, err
}

// makeKey makes the file as a whole, or finds the one that another process has made meanwhile.
func makeKey(path string) ([]byte, error) {
	var bytes [keySize]byte
	_, _ = rand.Read(bytes[:])
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // only the user may read it
	if err != nil {
		return nil, err
	}
	_, err = file.WriteString(base64.StdEncoding.EncodeToString(bytes[:]) + "\n")
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		if err = os.Link(file.Name(), path); errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	if err = errors.Join(err, os.Remove(file.Name())); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

func aeadOf(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
