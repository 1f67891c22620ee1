package view

import "errors"

// ErrNotFound says that there is no such service, run, incident or record.
var ErrNotFound = errors.New("not found")
