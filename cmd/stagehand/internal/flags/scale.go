package flags

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// Scale is how many containers services are to have, as a flag SERVICE=N that may be repeated.
type Scale map[string]int

var _ pflag.Value = (*Scale)(nil)

// Bind declares the flag.
func (s *Scale) Bind(f *pflag.FlagSet) {
	f.Var(s, "scale", "`SERVICE=N`: N containers of it, whatever its file says; may be repeated")
}

// Set implements pflag.Value.
func (s *Scale) Set(text string) error {
	service, number, _ := strings.Cut(text, "=")
	n, err := strconv.Atoi(number)
	if service == "" || err != nil || n < 0 {
		return fmt.Errorf("expected SERVICE=N, such as web=3")
	}
	if *s == nil {
		*s = Scale{}
	}
	(*s)[service] = n
	return nil
}

// String implements pflag.Value.
func (s *Scale) String() string { return strings.Join(s.words(), ",") }

func (s *Scale) words() (out []string) {
	for _, service := range slices.Sorted(maps.Keys(*s)) {
		out = append(out, fmt.Sprintf("%s=%d", service, (*s)[service]))
	}
	return out
}

// Type implements pflag.Value.
func (s *Scale) Type() string { return "SERVICE=N" }
