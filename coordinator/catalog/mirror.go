package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

// The bounds of git.
const (
	fetchTimeout = 2 * time.Minute
	readTimeout  = time.Minute
	maxListing   = 64 << 20 // bytes of a tree's listing
	maxStderr    = 8 << 10
)

var errTimeout = errors.New("git did not finish in time")

// commit is the head of the followed branch.
type commit struct {
	hash      string
	author    string
	subject   string
	committed time.Time // UTC
}

// mirror is a bare, shallow copy of the branch. It is a cache: it is made anew
// at the start and after a failed fetch, so that no lock or damage left by a
// killed process can stop it for good. Files are read from its objects; there
// never is a work tree that a repository could plant something in.
type mirror struct {
	dir    string
	source source
	git    string
	ready  bool
}

func newMirror(dir string, s source) *mirror {
	return &mirror{dir: filepath.Join(dir, "mirror.git"), source: s, git: "git"}
}

func (m *mirror) findGit() error {
	git, err := exec.LookPath("git")
	if err != nil {
		return fmt.Errorf("following the definitions needs git, which is not installed; install it (apt-get install git): %w", err)
	}
	m.git = git
	return nil
}

const followed = "refs/heads/followed"

// fetch brings the newest commit of the branch and returns it.
func (m *mirror) fetch(ctx context.Context) (commit, error) {
	if !m.ready {
		if err := m.rebuild(ctx); err != nil {
			return commit{}, err
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, fetchTimeout, errTimeout)
	defer cancel()
	_, stderr, err := m.run(ctx, "", 1<<20, "fetch", "--quiet", "--force", "--no-tags", "--no-write-fetch-head", "--depth=1",
		"--end-of-options", m.source.url, "+refs/heads/"+m.source.branch+":"+followed)
	if err != nil {
		m.ready = false
		return commit{}, fmt.Errorf("the definitions at %s cannot be fetched: %s; %s", m.source.shown, m.said(err, stderr), hint(stderr))
	}
	out, stderr, err := m.run(ctx, "", 1<<20, "show", "--no-patch", "--no-show-signature", "--format=%H%x00%an%x00%s%x00%ct", followed, "--")
	if err != nil {
		m.ready = false
		return commit{}, fmt.Errorf("the head of %s cannot be read: %s", m.source.shown, m.said(err, stderr))
	}
	return parseCommit(string(out))
}

func parseCommit(s string) (commit, error) {
	parts := strings.Split(strings.TrimSpace(s), "\x00")
	if len(parts) != 4 || len(parts[0]) < 40 {
		return commit{}, fmt.Errorf("reading the head's commit: want four fields, got %q", probes.Excerpt(s))
	}
	seconds, err := strconv.ParseInt(parts[3], 10, 64)
	if err != nil {
		return commit{}, fmt.Errorf("reading the head's time: %w", err)
	}
	return commit{
		hash: parts[0], author: probes.Excerpt(parts[1]), subject: probes.Excerpt(parts[2]),
		committed: time.Unix(seconds, 0).UTC(),
	}, nil
}

func (m *mirror) rebuild(ctx context.Context) error {
	if err := os.RemoveAll(m.dir); err != nil {
		return fmt.Errorf("clearing the definitions' mirror: %w; check the permissions of the data directory", err)
	}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return fmt.Errorf("making the definitions' mirror: %w; check the permissions of the data directory", err)
	}
	_, stderr, err := m.run(ctx, "", 1<<20, "init", "--quiet", "--bare", "--template=", "--initial-branch=followed")
	if err != nil {
		return fmt.Errorf("making the definitions' mirror in %s: %s; %s", m.dir, m.said(err, stderr), hint(stderr))
	}
	m.ready = true
	return nil
}

// blob is one file of a commit.
type blob struct {
	name, hash string
	size       int
}

// files reads the definitions of a commit. What must not be read at all, such as
// a symbolic link or a huge file, comes back as Mistakes.
func (m *mirror) files(ctx context.Context, hash, folder string) ([]definition.File, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, readTimeout, errTimeout)
	defer cancel()
	out, stderr, err := m.run(ctx, "", maxListing, "ls-tree", "-r", "-z", "--long", "--full-tree", "--end-of-options", hash+":"+folder)
	switch {
	case err != nil && folder != "" && (strings.Contains(stderr, "Not a valid object name") || strings.Contains(stderr, "not a tree object")):
		return nil, definition.Mistakes{{File: folder, Text: "the commit has no such folder; put the definitions there, or correct the folder that is configured"}}
	case err != nil:
		return nil, fmt.Errorf("listing the files: %s", m.said(err, stderr))
	}
	blobs, err := listing(out)
	if err != nil || len(blobs) == 0 {
		return nil, err
	}
	return m.read(ctx, blobs)
}

// listing parses "mode type hash size\tname\0…" and keeps what Compile reads.
func listing(out []byte) ([]blob, error) {
	var (
		blobs    []blob
		mistakes definition.Mistakes
		total    int
	)
	for entry := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		meta, name, ok := strings.Cut(entry, "\t")
		fields := strings.Fields(meta)
		if !ok || len(fields) != 4 || !definition.Relevant(name) {
			continue
		}
		switch mode := fields[0]; {
		case mode == "120000":
			mistakes = append(mistakes, definition.LinkMistake(name))
			continue
		case fields[1] != "blob":
			mistakes = append(mistakes, definition.Mistake{File: name, Text: "want a file, got a submodule; put the file itself there"})
			continue
		}
		size, err := strconv.Atoi(fields[3])
		if err != nil {
			return nil, fmt.Errorf("reading the size of %s: %w", name, err)
		}
		if size > definition.MaxFileSize {
			mistakes = append(mistakes, definition.Mistake{File: name, Text: fmt.Sprintf("want at most %d bytes, got %d; split the file", definition.MaxFileSize, size)})
			continue
		}
		total += size
		blobs = append(blobs, blob{name: name, hash: fields[2], size: size})
	}
	if len(blobs) > definition.MaxFiles || total > definition.MaxTotalSize {
		mistakes = append(mistakes, definition.Mistake{File: "services", Text: fmt.Sprintf("want at most %d files of %d bytes together, got %d of %d; split the repository",
			definition.MaxFiles, definition.MaxTotalSize, len(blobs), total)})
	}
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	return blobs, nil
}

// read takes the contents out of the object store in one process.
func (m *mirror) read(ctx context.Context, blobs []blob) ([]definition.File, error) {
	var ask strings.Builder
	limit := 0
	for _, b := range blobs {
		ask.WriteString(b.hash + "\n")
		limit += b.size + len(b.hash) + 32
	}
	out, stderr, err := m.run(ctx, ask.String(), limit, "cat-file", "--batch")
	if err != nil {
		return nil, fmt.Errorf("reading the files: %s", m.said(err, stderr))
	}
	files := make([]definition.File, 0, len(blobs))
	for _, b := range blobs {
		head, rest, ok := bytes.Cut(out, []byte("\n"))
		if want := fmt.Sprintf("%s blob %d", b.hash, b.size); !ok || string(head) != want || len(rest) < b.size+1 {
			return nil, fmt.Errorf("reading %s: want %q, got %q", b.name, want, probes.Excerpt(string(head)))
		}
		files = append(files, definition.File{Path: b.name, Data: bytes.Clone(rest[:b.size])})
		out = rest[b.size+1:]
	}
	return files, nil
}

// run runs git on the mirror in a process group of its own, so that a helper of
// git ends with it. More than limit bytes of output are an error.
func (m *mirror) run(ctx context.Context, stdin string, limit int, args ...string) (stdout []byte, stderr string, err error) {
	cmd := exec.CommandContext(ctx, m.git, append([]string{"--git-dir=" + m.dir}, args...)...)
	cmd.Dir = filepath.Dir(m.dir)
	cmd.Env = m.source.env
	cmd.Stdin = strings.NewReader(stdin)
	out, said := &bounded{limit: limit}, &bounded{limit: maxStderr, drop: true}
	cmd.Stdout, cmd.Stderr = out, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	switch {
	case err != nil && ctx.Err() != nil:
		err = context.Cause(ctx)
	case out.full:
		err = fmt.Errorf("git said more than %d bytes", limit)
	}
	return out.buf.Bytes(), said.buf.String(), err
}

// said is git's last word, without credentials.
func (m *mirror) said(err error, stderr string) string {
	if errors.Is(err, errTimeout) {
		return errTimeout.Error()
	}
	text := err.Error()
	for line := range strings.SplitSeq(stderr, "\n") {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "fatal: ") || strings.HasPrefix(line, "error: ") {
			text = strings.TrimSpace(strings.SplitN(line, ": ", 2)[1])
			break
		}
	}
	return probes.Excerpt(m.source.clean(text))
}

// bounded is a buffer that stops growing.
type bounded struct {
	buf   bytes.Buffer
	limit int
	drop  bool // what is too much is dropped, and no error
	full  bool
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	room := b.limit - b.buf.Len()
	if len(p) <= room {
		return b.buf.Write(p)
	}
	b.full = true
	b.buf.Write(p[:max(room, 0)])
	if b.drop {
		return len(p), nil
	}
	return 0, io.ErrShortWrite
}
