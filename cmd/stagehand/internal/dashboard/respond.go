package dashboard

import (
	"bytes"
	"errors"
	"io"
	"net/http"
)

var errNoRun = errors.New("the ledger has no such run")

func errOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// respond writes a page, or what went wrong.
func respond(w http.ResponseWriter, err error, write func(io.Writer) error) {
	var page bytes.Buffer
	if err == nil {
		err = write(&page)
	}
	switch {
	case errors.Is(err, errNoRun):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = page.WriteTo(w) // whoever has gone need not be told
	}
}
