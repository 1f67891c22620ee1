package definition

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// MaxTotalSize bounds the files of one revision together, in bytes.
const MaxTotalSize = 32 << 20

// bundleVersion is raised when older agents could not read a body any more.
const bundleVersion = 1

type bundle struct {
	Version  int      `json:"version"`
	Revision Revision `json:"revision"`
	Files    []File   `json:"files"`
}

// Pack makes the body that coordinators store and agents fetch. The same
// revision and files always give the same bytes; digest is their SHA-256 in hex.
// Files that Compile does not read are left out.
func Pack(rev Revision, files []File) (body []byte, digest string, err error) {
	rev.Digest = "" // it is the digest of this very body
	rev.Committed, rev.Accepted = rev.Committed.UTC(), rev.Accepted.UTC()
	b := bundle{Version: bundleVersion, Revision: rev, Files: []File{}}
	for _, f := range files {
		if Relevant(f.Path) {
			b.Files = append(b.Files, f)
		}
	}
	slices.SortStableFunc(b.Files, func(x, y File) int { return strings.Compare(x.Path, y.Path) })
	body, err = json.Marshal(b)
	if err != nil {
		return nil, "", fmt.Errorf("packing revision %s: %w", rev.Commit, err)
	}
	sum := sha256.Sum256(body)
	return body, hex.EncodeToString(sum[:]), nil
}

// Unpack is the inverse of Pack; it sets Revision.Digest.
func Unpack(body []byte) (Revision, []File, error) {
	var b bundle
	dec := json.NewDecoder(bytes.NewReader(body))
	if err := dec.Decode(&b); err != nil {
		return Revision{}, nil, fmt.Errorf("unpacking a catalog of %d bytes: %w", len(body), err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Revision{}, nil, errors.New("unpacking a catalog: want nothing after it, got more bytes")
	}
	if b.Version != bundleVersion {
		return Revision{}, nil, fmt.Errorf("unpacking a catalog: want version %d, got %d; run the same release on agents and coordinators", bundleVersion, b.Version)
	}
	if len(b.Files) > MaxFiles {
		return Revision{}, nil, fmt.Errorf("unpacking a catalog: want at most %d files, got %d", MaxFiles, len(b.Files))
	}
	for _, f := range b.Files {
		if !fs.ValidPath(f.Path) || f.Path == "." {
			return Revision{}, nil, fmt.Errorf("unpacking a catalog: want paths inside its folder, got %q", f.Path)
		}
	}
	sum := sha256.Sum256(body)
	b.Revision.Digest = hex.EncodeToString(sum[:])
	return b.Revision, b.Files, nil
}
