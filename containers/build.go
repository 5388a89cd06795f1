package containers

import "context"

// Build says how an image is made.
type Build struct {
	// Context is an absolute folder of this host, or the address of a Git
	// repository or an archive that the engine fetches.
	Context string `json:"context"`
	// Dockerfile is absolute, or relative to Context.
	Dockerfile string `json:"dockerfile,omitempty"`
	// Inline is the Dockerfile's text; then Dockerfile does not count.
	Inline string `json:"inline,omitempty"`
	// Args holds KEY=VALUE, sorted by key.
	Args       []string          `json:"args,omitempty"`
	Target     string            `json:"target,omitempty"`
	Tags       []string          `json:"tags,omitempty"` // further names of the image
	Labels     map[string]string `json:"labels,omitempty"`
	CacheFrom  []string          `json:"cache_from,omitempty"`
	NoCache    bool              `json:"no_cache,omitempty"`
	Pull       bool              `json:"pull,omitempty"` // images that it is made from, even if they are there
	Network    string            `json:"network,omitempty"`
	ExtraHosts []string          `json:"extra_hosts,omitempty"` // HOST:IP
	ShmSize    int64             `json:"shm_size,omitempty"`    // bytes
	Ulimits    []Ulimit          `json:"ulimits,omitempty"`
	Isolation  string            `json:"isolation,omitempty"`
	// Refused, if not empty, says why the image cannot be made here, in full words.
	Refused string `json:"refused,omitempty"`
}

// Builder is what an engine also is when it can make images.
type Builder interface {
	// Build makes the image and gives it the name ref and b.Tags. platform is
	// os[/arch[/variant]], empty for the engine's own. Progress is told to progress, which
	// may be nil. ErrImage, with the last lines of what was said, when it cannot be made.
	Build(ctx context.Context, ref, platform string, b Build, progress func(string)) (Image, error)
}

// AsBuilder returns what makes the engine's images. A decorator of an engine
// has a method Builder that returns that of the engine that it decorates.
func AsBuilder(e Engine) (Builder, bool) {
	switch x := e.(type) {
	case Builder:
		return x, true
	case interface{ Builder() (Builder, bool) }:
		return x.Builder()
	}
	return nil, false
}
