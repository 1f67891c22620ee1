//go:build !linux && !darwin

package app

import (
	"errors"
	"fmt"
)

// diskSpace cannot look here.
func diskSpace(dir string) (space, error) {
	return space{}, fmt.Errorf("looking at the disk of %s: %w", dir, errors.ErrUnsupported)
}
