package containers

import (
	"context"
	"time"
)

// Janitor is what an engine also is when it can tell what only a clean-up asks for.
type Janitor interface {
	// Networks is ListNetworks with what the engine knows of each, by name.
	Networks(ctx context.Context, labels map[string]string) ([]NetworkStatus, error)
	// Images returns the images on the engine that carry all the labels, by ID.
	Images(ctx context.Context, labels map[string]string) ([]ImageStatus, error)
	// RemoveImage removes the image with all its names. ErrConflict while a
	// container, ended ones too, was made from it; gone already: no error.
	RemoveImage(ctx context.Context, id string) error
}

// NetworkStatus is a network on the engine.
type NetworkStatus struct {
	Name    string            `json:"name"`
	Created time.Time         `json:"created"`
	Labels  map[string]string `json:"labels,omitempty"`
}

// ImageStatus is an image on the engine.
type ImageStatus struct {
	ID string `json:"id"`
	// Names are its references; none for one that has lost them.
	Names   []string          `json:"names,omitempty"`
	Created time.Time         `json:"created"`
	Labels  map[string]string `json:"labels,omitempty"`
}
