package chrome

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const profilePrefix = "profile-"

// profile is a browser's user data folder. Its owner holds a lock on the
// folder, which the kernel drops when the owner dies: that is how a later
// agent tells a leftover from the profile of a neighbour.
type profile struct {
	dir  string
	lock *os.File
}

// newProfile makes and locks a profile below parent.
func newProfile(parent string) (*profile, error) {
	unlock, err := lockFolder(parent) // no sweep may see it before it is locked
	if err != nil {
		return nil, err
	}
	defer unlock()
	dir, err := os.MkdirTemp(parent, profilePrefix)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", dir, err), f.Close(), os.RemoveAll(dir))
	}
	return &profile{dir: dir, lock: f}, nil
}

// remove deletes the profile. A process that just died may still be writing,
// so it tries for a while.
func (p *profile) remove() error {
	err := removeAll(p.dir)
	return errors.Join(err, p.lock.Close())
}

func removeAll(dir string) error {
	deadline := time.Now().Add(3 * time.Second)
	for {
		err := os.RemoveAll(dir)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func lockFolder(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", dir, err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// sweep removes the profiles below parent whose owner is dead, and kills what
// still runs on them.
func sweep(parent string) (profiles, processes int, err error) {
	unlock, err := lockFolder(parent)
	if err != nil {
		return 0, 0, err
	}
	defer unlock()
	entries, err := os.ReadDir(parent)
	if err != nil {
		return 0, 0, err
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), profilePrefix) {
			continue
		}
		dir := filepath.Join(parent, e.Name())
		f, err := os.Open(dir)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			continue // gone meanwhile, or another user's
		}
		if err != nil {
			return profiles, processes, err
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			processes += killProfile(dir)
			if err := removeAll(dir); err != nil {
				return profiles, processes, errors.Join(err, f.Close())
			}
			profiles++
		}
		if err := f.Close(); err != nil {
			return profiles, processes, err
		}
	}
	return profiles, processes, nil
}

// killProfile kills every process that runs on the profile dir, with its
// process group, until a look finds none. It returns how many it found.
func killProfile(dir string) int {
	seen := make(map[int]bool)
	deadline := time.Now().Add(3 * time.Second)
	for {
		pids := processesOn(dir)
		if len(pids) == 0 || time.Now().After(deadline) {
			return len(seen)
		}
		for _, pid := range pids {
			seen[pid] = true
			if group, err := syscall.Getpgid(pid); err == nil && group != syscall.Getpgrp() {
				_ = syscall.Kill(-group, syscall.SIGKILL) // gone meanwhile is fine
			}
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// processesOn lists the live processes that name the profile dir in their
// command line, or have it as their HOME as every child of the browser has.
func processesOn(dir string) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	flag, home := []byte("--user-data-dir="+dir), []byte("HOME="+dir)
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if holds(filepath.Join("/proc", e.Name(), "cmdline"), flag) || holds(filepath.Join("/proc", e.Name(), "environ"), home) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// holds reports whether one of the NUL-separated words of file is word. The
// files of a zombie are empty.
func holds(file string, word []byte) bool {
	data, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	for w := range bytes.SplitSeq(data, []byte{0}) {
		if bytes.Equal(w, word) {
			return true
		}
	}
	return false
}
