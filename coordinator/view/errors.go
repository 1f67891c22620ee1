package view

import "errors"

// ErrNotFound says that there is no such service, run, incident or record.
var ErrNotFound = errors.New("not found")

// ErrCursor says that a list has no such place to go on from.
var ErrCursor = errors.New("no such cursor")
