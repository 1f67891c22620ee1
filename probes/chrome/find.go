package chrome

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// ErrNotFound says that this machine has no browser, and how to get one.
var ErrNotFound = errors.New("no Chromium on this machine; install it with: apt-get install chromium-headless-shell fonts-noto-cjk")

// Debian's command is a shell script that stays as the browser's parent. A
// signal to it does not reach the browser, so the program itself is preferred.
const debianShell = "/usr/lib/chromium/chromium-headless-shell"

// Find returns the path of the browser's program: exec if it is given, else
// chromium-headless-shell, else chromium.
func Find(name string) (string, error) {
	if name != "" {
		path, err := exec.LookPath(name)
		if err != nil {
			return "", fmt.Errorf("the browser %q cannot be run: %w; %w", name, err, ErrNotFound)
		}
		return filepath.Abs(path)
	}
	for _, name := range []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if name == "chromium-headless-shell" {
			if info, err := os.Stat(debianShell); err == nil && info.Mode().IsRegular() {
				return debianShell, nil
			}
		}
		return filepath.Abs(path)
	}
	return "", ErrNotFound
}
