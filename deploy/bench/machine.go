package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// machine says what figures were measured on, in one line.
func machine() string {
	commit := "unknown commit"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = s.Value[:min(len(s.Value), 12)]
			case s.Key == "vcs.modified" && s.Value == "true":
				commit += " (changed)"
			}
		}
	}
	return fmt.Sprintf("gengfu %s, %s, %d cores of %s, Linux %s, load %s", commit, runtime.Version(), runtime.NumCPU(),
		field("/proc/cpuinfo", "model name"), firstWord("/proc/sys/kernel/osrelease"), firstWord("/proc/loadavg"))
}

func firstWord(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "?"
	}
	if words := strings.Fields(string(text)); len(words) > 0 {
		return words[0]
	}
	return "?"
}

// field is the value of the first line "name : value" of a file.
func field(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "?"
	}
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return "?"
}

// resident is this process's memory in the kernel's account (VmRSS), in bytes.
func resident() int64 {
	kb, _, _ := strings.Cut(field("/proc/self/status", "VmRSS"), " ")
	n, err := strconv.ParseInt(kb, 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}

// descriptors is how many files and sockets this process has open.
func descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries) - 1 // the folder itself
}
