//go:build linux || darwin

package app

import (
	"fmt"
	"syscall"
)

// diskSpace looks at the file system of dir.
func diskSpace(dir string) (space, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return space{}, fmt.Errorf("looking at the disk of %s: %w", dir, err)
	}
	block := uint64(s.Bsize)
	return space{free: s.Bavail * block, total: s.Blocks * block}, nil
}
