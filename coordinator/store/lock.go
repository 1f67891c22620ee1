package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lockDir takes the directory for this process. The lock goes with the
// process, however it ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("locking the data directory: %w; give this user the right to write there or set another directory", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("locking the data directory %s: %w", dir, err)
		}
		holder, pid := "another coordinator", make([]byte, 20)
		if n, _ := f.ReadAt(pid, 0); n > 0 {
			holder += " (process " + strings.TrimSpace(string(pid[:n])) + ")"
		}
		return nil, fmt.Errorf("%w: %s already uses %s; stop it or give this one a directory of its own", ErrLocked, holder, dir)
	}
	// The process id is for people only, so failing to write it is no failure.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	return f, nil
}
