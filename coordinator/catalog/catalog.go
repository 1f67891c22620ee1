// Package catalog follows the definitions' Git repository: a commit becomes the
// catalog in use, or is refused with every mistake while the old one stays.
package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"sync"
	"time"

	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

// Store keeps revisions. Any error of LatestCatalog is taken as "none yet";
// AcceptCatalog must refuse a Seq it already has.
type Store interface {
	LatestCatalog(ctx context.Context) (definition.Revision, []byte, error)
	// AcceptCatalog stores a revision with what is due from rev.Accepted on, in
	// one transaction.
	AcceptCatalog(ctx context.Context, rev definition.Revision, body []byte, due []availability.Due) error
	RefuseCatalog(ctx context.Context, commit, author, subject string, at time.Time, mistakes []string) error
	// CatalogsOf returns the bodies of a commit's accepted revisions, none for an
	// unknown one.
	CatalogsOf(ctx context.Context, commit string) ([][]byte, error)
	// EverDue reports whether a probe was due at any time.
	EverDue(ctx context.Context, key probes.Key) (bool, error)
}

// Options say what to follow. URL, Dir, Store and Logger are required.
type Options struct {
	URL    string // any URL or path that git understands
	Branch string // "main" by default
	Folder string // of the definitions inside the repository; "" is its root
	SSHKey string // private key file
	// KnownHosts is a file of host keys; by default the user's own.
	KnownHosts string
	// StrictHostKey is ssh's StrictHostKeyChecking: "yes", "accept-new" or "no".
	// By default "yes" with KnownHosts and "accept-new" without.
	StrictHostKey string
	Token         string        // for HTTPS; "user:password" is one too
	Dir           string        // where the mirror is kept: a cache, rebuilt at every start
	Poll          time.Duration // 30s by default
	Kinds         []probes.Kind
	Store         Store
	// OnAccept is called after a catalog came into use, also after the stored one
	// was loaded at the start. It must not block.
	OnAccept func(*definition.Catalog)
	// Heard is the newest announcement in the fleet, so that a coordinator with a
	// new database, or one from a backup, is not taken for an old one. Optional.
	Heard  func() definition.Announcement
	Now    func() time.Time // time.Now by default
	Logger *slog.Logger
}

// State is how following the repository stands.
type State struct {
	Source   string              // repository, branch and folder, without credentials
	Checked  time.Time           // the last time the repository answered, UTC; zero before
	Error    string              // what failed last and how to mend it; "" when all is well
	Revision definition.Revision // in use; zero before the first
}

// Catalog follows one repository. It is safe for concurrent use.
type Catalog struct {
	o      Options
	source source
	mirror *mirror
	poke   chan struct{}
	seq    uint64 // the last sequence number given; used by Run alone
	seen   string // the last commit that was judged; used by Run alone
	// overtaken is the foreign announcement of the last look; used by Run alone.
	overtaken definition.Announcement

	mu         sync.Mutex
	current    *definition.Catalog
	checked    time.Time
	err        string
	remembered remembered
}

// New checks the options; nothing is read before Run.
func New(o Options) (*Catalog, error) {
	o.Branch = cmp.Or(o.Branch, "main")
	o.Poll = cmp.Or(o.Poll, 30*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Folder = path.Clean("/" + o.Folder)[1:]; o.Store == nil || o.Logger == nil || o.Dir == "" {
		return nil, errors.New("following the definitions: want a store, a logger and a folder for the mirror")
	}
	s, err := newSource(o)
	if err != nil {
		return nil, err
	}
	return &Catalog{o: o, source: s, mirror: newMirror(o.Dir, s), poke: make(chan struct{}, 1)}, nil
}

// Current returns the catalog in use, nil before the first.
func (c *Catalog) Current() *definition.Catalog {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current
}

// State returns how following the repository stands.
func (c *Catalog) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := State{Source: c.source.shown, Checked: c.checked, Error: c.err}
	if c.current != nil {
		s.Revision = c.current.Revision
	}
	return s
}

// Poke looks at the repository at once; many pokes are one.
func (c *Catalog) Poke() {
	select {
	case c.poke <- struct{}{}:
	default:
	}
}

// Run loads the stored catalog and follows the repository until ctx ends. It
// returns an error only when git itself is missing.
func (c *Catalog) Run(ctx context.Context) error {
	if err := c.mirror.findGit(); err != nil {
		return err
	}
	ticker := time.NewTicker(c.o.Poll)
	defer ticker.Stop()
	for {
		if c.Current() == nil {
			c.load(ctx)
		}
		err := c.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		c.note(err)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-c.poke:
		}
	}
}

// note keeps the last failure for State and logs its changes.
func (c *Catalog) note(err error) {
	text := ""
	if err != nil {
		text = c.source.clean(err.Error())
	}
	c.mu.Lock()
	before := c.err
	c.err = text
	c.mu.Unlock()
	switch {
	case text != "" && text != before:
		c.o.Logger.Warn("the definitions cannot be followed", "source", c.source.shown, "err", text)
	case text == "" && before != "":
		c.o.Logger.Info("the definitions can be followed again", "source", c.source.shown)
	}
}

// load takes the newest stored catalog into use, so that a coordinator starts
// while the Git server does not answer.
func (c *Catalog) load(ctx context.Context) {
	rev, body, err := c.o.Store.LatestCatalog(ctx)
	if err != nil {
		c.o.Logger.Debug("no stored catalog", "err", err)
		return
	}
	c.seq = max(c.seq, rev.Seq)
	unpacked, files, err := definition.Unpack(body)
	if err == nil {
		var loaded *definition.Catalog
		if loaded, err = definition.Compile(unpacked, files, c.o.Kinds); err == nil {
			c.use(loaded)
			return
		}
	}
	c.o.Logger.Error("the stored catalog cannot be used by this release, waiting for git", "commit", rev.Commit, "err", err)
}

func (c *Catalog) use(next *definition.Catalog) {
	c.mu.Lock()
	c.current = next
	c.mu.Unlock()
	r := next.Revision
	c.o.Logger.Info("catalog in use", "seq", r.Seq, "commit", r.Commit, "services", r.ServiceIDs, "probes", r.ProbeIDs)
	if c.o.OnAccept != nil {
		c.o.OnAccept(next)
	}
}

// look fetches the branch and judges its commit unless that was done before.
func (c *Catalog) look(ctx context.Context) error {
	found, err := c.mirror.fetch(ctx)
	if err != nil {
		return fmt.Errorf("%w; %s", err, c.kept())
	}
	c.mu.Lock()
	c.checked = c.o.Now().UTC()
	c.mu.Unlock()
	if found.hash == c.seen {
		return c.lead(ctx)
	}
	files, err := c.mirror.files(ctx, found.hash, c.o.Folder)
	var mistakes definition.Mistakes
	switch {
	case errors.As(err, &mistakes):
		return c.refuse(ctx, found, mistakes)
	case err != nil:
		return fmt.Errorf("reading commit %.12s of %s: %w; %s", found.hash, c.source.shown, err, c.kept())
	}
	return c.judge(ctx, found, files)
}

// kept ends a sentence about a failure.
func (c *Catalog) kept() string {
	if cur := c.Current(); cur != nil {
		return fmt.Sprintf("the fleet goes on with commit %.12s", cur.Revision.Commit)
	}
	return "there are no definitions yet"
}

// judge accepts or refuses a commit.
func (c *Catalog) judge(ctx context.Context, found commit, files []definition.File) error {
	if cur := c.Current(); c.seen == "" && cur != nil && cur.Revision.Commit == found.hash {
		// After a restart: the very same files need no new revision. The digest
		// decides and not the commit, for the configured folder may be another.
		if _, digest, err := definition.Pack(cur.Revision, files); err == nil && digest == cur.Revision.Digest {
			c.seen = found.hash
			return nil
		}
	}
	err := c.accept(ctx, definition.Revision{Commit: found.hash, Author: found.author, Subject: found.subject, Committed: found.committed}, files)
	var mistakes definition.Mistakes
	if errors.As(err, &mistakes) {
		return c.refuse(ctx, found, mistakes)
	}
	if err != nil {
		return err
	}
	c.seen = found.hash
	return nil
}

// accept takes files into use as the newest revision of the whole fleet.
func (c *Catalog) accept(ctx context.Context, rev definition.Revision, files []definition.File) error {
	rev.Seq, rev.Accepted, rev.Digest = max(c.seq, c.heard().Seq)+1, c.o.Now().UTC(), ""
	next, err := definition.Compile(rev, files, c.o.Kinds)
	if err != nil {
		return fmt.Errorf("compiling commit %.12s: %w", rev.Commit, err)
	}
	body, _, err := definition.Pack(next.Revision, files)
	if err != nil {
		return err
	}
	if err := c.o.Store.AcceptCatalog(ctx, next.Revision, body, due(next)); err != nil {
		return fmt.Errorf("storing the definitions of commit %.12s, trying again at the next poll: %w; %s", rev.Commit, err, c.kept())
	}
	c.seq = next.Revision.Seq
	c.use(next)
	return nil
}

func (c *Catalog) heard() definition.Announcement {
	if c.o.Heard == nil {
		return definition.Announcement{}
	}
	return c.o.Heard()
}

// lead accepts the catalog in use once more when the fleet follows another commit
// with a higher sequence number, as after this coordinator lost its database or
// got an old one back: agents never go back by themselves. It waits for a second
// look, since another coordinator may only have read the repository earlier.
func (c *Catalog) lead(ctx context.Context) error {
	cur, h := c.Current(), c.heard()
	if cur == nil || h.Seq < cur.Revision.Seq || h.Commit == cur.Revision.Commit {
		c.overtaken = definition.Announcement{}
		return nil
	}
	if c.overtaken != h {
		c.overtaken = h
		return nil
	}
	rev, body, err := c.o.Store.LatestCatalog(ctx)
	if err != nil {
		return fmt.Errorf("reading the definitions of commit %.12s, to lead a fleet that follows commit %.12s: %w", cur.Revision.Commit, h.Commit, err)
	}
	_, files, err := definition.Unpack(body)
	if err != nil {
		return fmt.Errorf("reading the definitions of commit %.12s, to lead a fleet that follows commit %.12s: %w", cur.Revision.Commit, h.Commit, err)
	}
	c.o.Logger.Warn("the fleet follows a commit that is not this repository's, accepting ours again", "ours", cur.Revision.Commit, "theirs", h.Commit, "seq", h.Seq)
	c.overtaken = definition.Announcement{}
	return c.accept(ctx, rev, files)
}

func (c *Catalog) refuse(ctx context.Context, found commit, mistakes definition.Mistakes) error {
	if err := c.o.Store.RefuseCatalog(ctx, found.hash, found.author, found.subject, c.o.Now().UTC(), mistakes.Texts()); err != nil {
		return fmt.Errorf("noting why commit %.12s is refused, trying again at the next poll: %w; %s", found.hash, err, c.kept())
	}
	c.seen = found.hash
	c.o.Logger.Warn("commit refused", "meanwhile", c.kept(), "commit", found.hash, "author", found.author, "mistakes", len(mistakes), "first", mistakes[0].Error())
	return nil
}

// due lists what is due from the revision's acceptance on: every probe of every
// published service, until another revision says otherwise.
func due(c *definition.Catalog) []availability.Due {
	var out []availability.Due
	for _, s := range c.Services {
		if s.Life != probes.LifePublished {
			continue
		}
		for _, p := range s.Probes {
			out = append(out, availability.Due{
				Key: p.Key, Span: availability.Span{From: c.Revision.Accepted}, Every: p.Every, Timeout: p.Timeout,
				Rule: availability.Rule{Count: p.From.Count, Quorum: p.Quorum}, Revision: c.Revision.Commit,
			})
		}
	}
	return out
}
