package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/catalog"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

type fake struct{}

func (fake) Probe(context.Context, probes.Env) (probes.Result, error) { return probes.Result{}, nil }

var kinds = []probes.Kind{{Name: "fake", Decode: func(s probes.Settings) (probes.Prober, error) {
	return fake{}, s.Into(&struct{}{})
}}}

func service(id string, more ...string) string {
	return "id: " + id + "\nname: 甲\nchannel: portal\n" + strings.Join(more, "") + "probes:\n  - {id: p, kind: fake, every: 30s}\n"
}

// repository is a real Git repository that tests commit to.
type repository struct {
	t   *testing.T
	dir string
}

func newRepository(t *testing.T) *repository {
	r := &repository{t, filepath.Join(t.TempDir(), "definitions")}
	require.NoError(t, os.MkdirAll(r.dir, 0o700))
	r.git("init", "--quiet", "--initial-branch=main")
	return r
}

func (r *repository) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=王工", "GIT_AUTHOR_EMAIL=a@example.test", "GIT_COMMITTER_NAME=b", "GIT_COMMITTER_EMAIL=b@example.test")
	out, err := cmd.CombinedOutput()
	require.NoError(r.t, err, "git %v: %s", args, out)
	return strings.TrimSpace(string(out))
}

func (r *repository) write(name, text string) {
	r.t.Helper()
	name = filepath.Join(r.dir, name)
	require.NoError(r.t, os.MkdirAll(filepath.Dir(name), 0o700))
	require.NoError(r.t, os.WriteFile(name, []byte(text), 0o600))
}

// commit commits everything and returns the hash.
func (r *repository) commit(subject string) string {
	r.t.Helper()
	r.git("add", "--all")
	r.git("commit", "--quiet", "--allow-empty", "-m", subject)
	return r.git("rev-parse", "HEAD")
}

type refusal struct {
	commit, author, subject string
	mistakes                []string
}

// memory is a Store.
type memory struct {
	mu       sync.Mutex
	rev      definition.Revision
	body     []byte
	due      []availability.Due
	refusals []refusal
	fail     error
	bodies   map[string][][]byte // by commit
	ever     map[probes.Key]bool
}

func (m *memory) CatalogsOf(_ context.Context, commit string) ([][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bodies[commit], m.fail
}

func (m *memory) EverDue(_ context.Context, key probes.Key) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ever[key], m.fail
}

func (m *memory) LatestCatalog(context.Context) (definition.Revision, []byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.body == nil {
		return definition.Revision{}, nil, errors.New("not found")
	}
	return m.rev, m.body, nil
}

func (m *memory) AcceptCatalog(_ context.Context, rev definition.Revision, body []byte, due []availability.Due) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	if rev.Seq <= m.rev.Seq {
		return fmt.Errorf("revision %d exists", rev.Seq)
	}
	m.rev, m.body, m.due = rev, body, due
	if m.bodies == nil {
		m.bodies, m.ever = map[string][][]byte{}, map[probes.Key]bool{}
	}
	m.bodies[rev.Commit] = append(m.bodies[rev.Commit], body)
	for _, d := range due {
		m.ever[d.Key] = true
	}
	return nil
}

func (m *memory) RefuseCatalog(_ context.Context, commit, author, subject string, _ time.Time, mistakes []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.refusals = append(m.refusals, refusal{commit, author, subject, mistakes})
	return nil
}

func (m *memory) latest() definition.Revision {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rev
}

func (m *memory) refused() []refusal {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]refusal(nil), m.refusals...)
}

func (m *memory) setFail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// following is a Catalog that runs until the test ends.
type following struct {
	*catalog.Catalog
	t        *testing.T
	store    *memory
	mu       sync.Mutex
	accepted []uint64
	stop     func()
}

func follow(t *testing.T, store *memory, o catalog.Options) *following {
	t.Helper()
	f := &following{t: t, store: store}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	o.Poll, o.Kinds, o.Store = time.Hour, kinds, store
	o.Logger = slog.New(slog.DiscardHandler)
	o.OnAccept = func(c *definition.Catalog) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.accepted = append(f.accepted, c.Revision.Seq)
	}
	var err error
	f.Catalog, err = catalog.New(o)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	f.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(f.stop)
	return f
}

func (f *following) seqs() []uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]uint64(nil), f.accepted...)
}

// until pokes until what holds.
func (f *following) until(what func() bool) {
	f.t.Helper()
	require.Eventually(f.t, func() bool {
		if what() {
			return true
		}
		f.Poke()
		return false
	}, patience, 20*time.Millisecond, "state: %+v", f.State())
}

func (f *following) untilCommit(hash string) {
	f.t.Helper()
	f.until(func() bool { return f.State().Revision.Commit == hash })
}

// checkedAgain waits for one whole look that began after the call.
func (f *following) checkedAgain() {
	f.t.Helper()
	for range 2 {
		before := f.State().Checked
		f.until(func() bool { return f.State().Checked.After(before) })
	}
}

func TestFollow(t *testing.T) {
	r := newRepository(t)
	r.write("services/a.yaml", service("a"))
	r.write("services/draft.yaml", service("draft", "life: draft\n"))
	r.write("README.md", "ignored")
	r.write("deploy/values.yaml", "ignored: [")
	first := r.commit("第一版")
	store := &memory{}
	f := follow(t, store, catalog.Options{URL: r.dir})
	require.Equal(t, r.dir+" (main)", f.State().Source)
	f.untilCommit(first)
	rev := f.State().Revision
	require.Equal(t, uint64(1), rev.Seq)
	require.Equal(t, "王工", rev.Author)
	require.Equal(t, "第一版", rev.Subject)
	require.WithinDuration(t, time.Now(), rev.Committed, time.Hour)
	require.Equal(t, 2, rev.ServiceIDs)
	require.Equal(t, rev.Digest, store.rev.Digest)
	require.Equal(t, []availability.Due{{
		Key: probes.Key{Service: "a", Probe: "p"}, Span: availability.Span{From: rev.Accepted}, Every: 30 * time.Second,
		Timeout: 24 * time.Second, Rule: availability.Rule{Count: 2, Quorum: 2}, Revision: first,
	}}, store.due)
	f.until(func() bool { return f.State().Error == "" })

	// The stored body is what agents will compile.
	unpacked, files, err := definition.Unpack(store.body)
	require.NoError(t, err)
	require.Equal(t, rev.Digest, unpacked.Digest)
	require.Len(t, files, 2)

	f.checkedAgain()
	require.Equal(t, []uint64{1}, f.seqs(), "the same commit again is no new revision")

	second := r.commit("nothing changed")
	f.untilCommit(second)
	require.Equal(t, []uint64{1, 2}, f.seqs())

	r.git("reset", "--quiet", "--hard", first)
	f.untilCommit(first)
	require.Equal(t, []uint64{1, 2, 3}, f.seqs(), "going back is a new revision")
}

func TestBadCommitIsRefusedAndMended(t *testing.T) {
	r := newRepository(t)
	r.write("services/a.yaml", service("a"))
	good := r.commit("good")
	store := &memory{}
	f := follow(t, store, catalog.Options{URL: r.dir})
	f.untilCommit(good)

	r.write("services/b.yaml", strings.Replace(service("b"), "30s", "5", 1))
	r.write("services/c.yaml", service("a"))
	bad := r.commit("改坏了")
	f.until(func() bool { return len(store.refused()) == 1 })
	require.Equal(t, refusal{bad, "王工", "改坏了", []string{
		`services/b.yaml:5:32: every: want a duration, got the number 5; write it with its unit, such as "5s"`,
		`services/c.yaml:1:5: id: "a" is already the id of the service in services/a.yaml:1; ids are unique in the whole repository: rename one`,
	}}, store.refused()[0])
	require.Equal(t, good, f.Current().Revision.Commit)
	f.checkedAgain()
	require.Len(t, store.refused(), 1, "a refused commit is judged once")

	r.git("reset", "--quiet", "--hard", good)
	f.until(func() bool { return f.State().Revision.Seq == 2 })
	require.Equal(t, good, f.Current().Revision.Commit, "back to the good commit: accepted anew, so that the refusal is over")

	r.write("services/b.yaml", service("b"))
	mended := r.commit("mended")
	f.untilCommit(mended)
	require.Equal(t, []uint64{1, 2, 3}, f.seqs())
	require.Len(t, f.Current().Services, 2)
}

func TestFolder(t *testing.T) {
	r := newRepository(t)
	r.write("ops/gengfu/services/a.yaml", service("a"))
	r.write("services/broken.yaml", "[")
	head := r.commit("x")
	f := follow(t, &memory{}, catalog.Options{URL: r.dir, Folder: "/ops/gengfu/"})
	f.untilCommit(head)
	require.Equal(t, "services/a.yaml:1", f.Current().Services[0].Source)
	require.Contains(t, f.State().Source, "folder ops/gengfu")

	store := &memory{}
	f = follow(t, store, catalog.Options{URL: r.dir, Folder: "nowhere"})
	f.until(func() bool { return len(store.refused()) == 1 })
	require.Equal(t, []string{"nowhere: the commit has no such folder; put the definitions there, or correct the folder that is configured"}, store.refused()[0].mistakes)
	require.Nil(t, f.Current())
}

func TestUnreachable(t *testing.T) {
	r := newRepository(t)
	r.write("services/a.yaml", service("a"))
	head := r.commit("x")
	moved := r.dir + "-moved"
	require.NoError(t, os.Rename(r.dir, moved))
	f := follow(t, &memory{}, catalog.Options{URL: r.dir})
	f.until(func() bool { return f.State().Error != "" })
	require.Contains(t, f.State().Error, "the definitions at "+r.dir+" (main) cannot be fetched: ")
	require.Contains(t, f.State().Error, "check the address: there is no repository; there are no definitions yet")
	require.True(t, f.State().Checked.IsZero())

	require.NoError(t, os.Rename(moved, r.dir))
	f.untilCommit(head)
	f.until(func() bool { return f.State().Error == "" })
	require.NoError(t, os.Rename(r.dir, moved))
	f.until(func() bool { return strings.Contains(f.State().Error, "the fleet goes on with commit "+head[:12]) })
	require.Equal(t, head, f.Current().Revision.Commit)
}

func TestMissingBranch(t *testing.T) {
	r := newRepository(t)
	r.write("services/a.yaml", service("a"))
	r.commit("x")
	f := follow(t, &memory{}, catalog.Options{URL: r.dir, Branch: "release"})
	f.until(func() bool { return strings.Contains(f.State().Error, "correct the branch") })
}

func TestRestartFromStore(t *testing.T) {
	r := newRepository(t)
	r.write("services/a.yaml", service("a"))
	r.write("other/services/b.yaml", service("b"))
	head := r.commit("x")
	store := &memory{}
	f := follow(t, store, catalog.Options{URL: r.dir})
	f.untilCommit(head)
	f.stop()

	moved := r.dir + "-moved"
	require.NoError(t, os.Rename(r.dir, moved))
	f = follow(t, store, catalog.Options{URL: r.dir})
	f.until(func() bool { return f.State().Error != "" })
	require.Equal(t, head, f.Current().Revision.Commit)
	require.Equal(t, store.rev.Digest, f.Current().Revision.Digest)
	require.Equal(t, []uint64{1}, f.seqs(), "the loaded catalog is announced")

	require.NoError(t, os.Rename(moved, r.dir))
	f.until(func() bool { return f.State().Error == "" })
	require.Equal(t, []uint64{1}, f.seqs(), "the same files need no new revision")
	f.stop()

	f = follow(t, store, catalog.Options{URL: r.dir, Folder: "other"})
	f.until(func() bool { return f.State().Revision.Seq == 2 })
	require.Equal(t, "b", f.Current().Services[0].ID, "another folder of the same commit is another catalog")
}

func TestSequenceIsNeverBehindTheFleet(t *testing.T) {
	r := newRepository(t)
	r.write("services/a.yaml", service("a"))
	head := r.commit("x")
	f := follow(t, &memory{}, catalog.Options{URL: r.dir, Heard: func() definition.Announcement { return definition.Announcement{Seq: 41, Commit: "elsewhere"} }})
	f.untilCommit(head)
	require.Equal(t, uint64(42), f.State().Revision.Seq)
}

// TestALostDatabaseDoesNotLoseTheFleet: agents follow a later revision of a commit
// that is gone; the coordinator that has only the repository leads them back.
func TestALostDatabaseDoesNotLoseTheFleet(t *testing.T) {
	r := newRepository(t)
	r.write("services/a.yaml", service("a"))
	head := r.commit("x")
	store := &memory{}
	fleet := definition.NewNewest()
	f := follow(t, store, catalog.Options{URL: r.dir, Heard: fleet.Current})
	f.untilCommit(head)
	require.Equal(t, uint64(1), f.State().Revision.Seq, "nobody was heard yet")
	first := store.latest()

	theirs := definition.Announcement{Seq: 41, Commit: "of another life", Digest: strings.Repeat("a", 64)}
	fleet.Set(theirs)
	f.until(func() bool { return f.State().Revision.Seq == 42 })
	require.Equal(t, head, f.State().Revision.Commit)
	require.Equal(t, []uint64{1, 42}, f.seqs(), "once, and it is announced")
	require.NotEqual(t, first.Digest, store.latest().Digest)

	ours := f.State().Revision
	fleet.Set(definition.Announcement{Seq: ours.Seq, Commit: ours.Commit, Digest: ours.Digest})
	fleet.Set(definition.Announcement{Seq: 43, Commit: head, Digest: strings.Repeat("b", 64)})
	for range 5 {
		before := f.State().Checked
		f.until(func() bool { return f.State().Checked.After(before) })
	}
	require.Equal(t, []uint64{1, 42}, f.seqs(), "the same commit under another number is no other catalog")
}

// TestAnotherCoordinatorMayKnowEarlier: what one look finds foreign may be the
// commit that the next look brings.
func TestAnotherCoordinatorMayKnowEarlier(t *testing.T) {
	r := newRepository(t)
	r.write("services/a.yaml", service("a"))
	head := r.commit("x")
	fleet := definition.NewNewest()
	f := follow(t, &memory{}, catalog.Options{URL: r.dir, Heard: fleet.Current})
	f.untilCommit(head)
	r.write("services/b.yaml", service("b"))
	next := r.commit("y")
	fleet.Set(definition.Announcement{Seq: 7, Commit: next, Digest: strings.Repeat("a", 64)})
	f.untilCommit(next)
	require.Equal(t, []uint64{1, 8}, f.seqs())
}

func TestStoreFailureIsRetried(t *testing.T) {
	r := newRepository(t)
	r.write("services/a.yaml", service("a"))
	head := r.commit("x")
	store := &memory{fail: errors.New("disk full")}
	f := follow(t, store, catalog.Options{URL: r.dir})
	f.until(func() bool { return strings.Contains(f.State().Error, "disk full") })
	require.Nil(t, f.Current())
	require.Empty(t, f.seqs())
	store.setFail(nil)
	f.untilCommit(head)
}

func TestWhatMustNotBeRead(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret.yaml")
	require.NoError(t, os.WriteFile(outside, []byte(service("stolen")), 0o600))
	r := newRepository(t)
	r.write("services/a.yaml", service("a"))
	r.write("huge.bin", strings.Repeat("x", 3<<20))
	require.NoError(t, os.Symlink(outside, filepath.Join(r.dir, "logo.png")))
	good := r.commit("what is not a definition does not matter")
	store := &memory{}
	f := follow(t, store, catalog.Options{URL: r.dir})
	f.untilCommit(good)

	require.NoError(t, os.Symlink(outside, filepath.Join(r.dir, "services", "link.yaml")))
	r.write("services/huge.yaml", strings.Repeat("x", definition.MaxFileSize+1))
	r.commit("link and huge file")
	f.until(func() bool { return len(store.refused()) == 1 })
	require.ElementsMatch(t, []string{
		"services/link.yaml: want a file, got a symbolic link; put the file itself there",
		"services/huge.yaml: want at most 1048576 bytes, got 1048577; split the file",
	}, store.refused()[0].mistakes)
	require.Equal(t, good, f.Current().Revision.Commit)
}

func TestLocksOfAKilledProcess(t *testing.T) {
	r := newRepository(t)
	r.write("services/a.yaml", service("a"))
	head := r.commit("x")
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "mirror.git", "refs", "heads"), 0o700))
	for _, name := range []string{"shallow.lock", "HEAD.lock", "packed-refs.lock", "refs/heads/followed.lock"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "mirror.git", name), nil, 0o600))
	}
	f := follow(t, &memory{}, catalog.Options{URL: r.dir, Dir: dir})
	f.untilCommit(head)
	require.NoDirExists(t, filepath.Join(dir, "mirror.git", "services"), "there is no work tree")

	// A fetch that was killed half-way leaves the same behind while we run.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mirror.git", "shallow.lock"), nil, 0o600))
	r.write("services/a.yaml", service("renamed"))
	f.untilCommit(r.commit("y"))
}

// serveGit serves r over HTTP to those who present password.
func serveGit(t *testing.T, r *repository, password string) string {
	t.Helper()
	out, err := exec.Command("git", "--exec-path").Output()
	require.NoError(t, err)
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + filepath.Dir(r.dir), "GIT_HTTP_EXPORT_ALL=1"},
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if _, got, _ := req.BasicAuth(); got != password {
			w.Header().Set("WWW-Authenticate", "Basic")
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, req)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/definitions/.git"
}

func TestToken(t *testing.T) {
	r := newRepository(t)
	r.write("services/a.yaml", service("a"))
	head := r.commit("x")
	const token = "s3cr3t-t0ken-value"
	address := serveGit(t, r, token)
	withUser := strings.Replace(address, "http://", "http://robot:"+token+"@", 1)

	for name, o := range map[string]catalog.Options{
		"token": {URL: address, Token: token}, "user and token": {URL: address, Token: "robot:" + token}, "in the address": {URL: withUser},
	} {
		f := follow(t, &memory{}, o)
		f.untilCommit(head)
		require.Equal(t, address+" (main)", f.State().Source, name)
	}
	for name, o := range map[string]catalog.Options{
		"wrong": {URL: address, Token: "wrong-" + token}, "wrong in the address": {URL: strings.Replace(withUser, token, "wrong-"+token, 1)},
		"gone": {URL: strings.Replace(withUser, "/definitions/", "/gone-"+token+"/", 1)},
	} {
		f := follow(t, &memory{}, o)
		f.until(func() bool { return f.State().Error != "" })
		require.NotContains(t, f.State().Error, token, name)
		require.NotContains(t, f.State().Source, "robot", name)
		require.Contains(t, f.State().Error, "token", name)
	}
}

func TestTokenIsNotOnACommandLine(t *testing.T) {
	bin := t.TempDir()
	log := filepath.Join(t.TempDir(), "log")
	real, err := exec.LookPath("git")
	require.NoError(t, err)
	script := fmt.Sprintf("#!/bin/sh\nprintf '%%s\\n' \"$*\" >>%s\nexec %s \"$@\"\n", log, real)
	require.NoError(t, os.WriteFile(filepath.Join(bin, "git"), []byte(script), 0o700))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	f := follow(t, &memory{}, catalog.Options{URL: "http://robot:s3cr3t-t0ken@127.0.0.1:9/x.git"})
	f.until(func() bool { return f.State().Error != "" })
	said, err := os.ReadFile(log)
	require.NoError(t, err)
	require.Contains(t, string(said), "fetch")
	require.NotContains(t, string(said), "s3cr3t")
}

func TestSSH(t *testing.T) {
	bin, home := t.TempDir(), filepath.Join(t.TempDir(), "it's a $(touch pwned) 100%")
	require.NoError(t, os.MkdirAll(home, 0o700))
	key, hosts, log := filepath.Join(home, "id key"), filepath.Join(home, "known hosts"), filepath.Join(t.TempDir(), "log")
	for _, name := range []string{key, hosts} {
		require.NoError(t, os.WriteFile(name, nil, 0o600))
	}
	script := "#!/bin/sh\nfor a; do printf '%s\\n' \"$a\"; done >" + log + ".new\nmv " + log + ".new " + log + "\necho 'Permission denied (publickey).' >&2\nexit 255\n"
	require.NoError(t, os.WriteFile(filepath.Join(bin, "ssh"), []byte(script), 0o700))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	f := follow(t, &memory{}, catalog.Options{URL: "git@git.example.test:ops/definitions.git", SSHKey: key, KnownHosts: hosts})
	f.until(func() bool { return f.State().Error != "" })
	require.Contains(t, f.State().Error, "check that the SSH key is the one the server knows")
	said, err := os.ReadFile(log)
	require.NoError(t, err)
	args := strings.Split(string(said), "\n")
	require.Contains(t, args, strings.ReplaceAll(key, "%", "%%"))
	require.Contains(t, args, `UserKnownHostsFile="`+strings.ReplaceAll(hosts, "%", "%%")+`"`)
	require.Contains(t, args, "StrictHostKeyChecking=yes")
	require.Contains(t, args, "BatchMode=yes")
	require.NoFileExists(t, "pwned")
}

func TestOnlyKnownTransports(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	f := follow(t, &memory{}, catalog.Options{URL: "ext::touch " + mark})
	f.until(func() bool { return strings.Contains(f.State().Error, "not allowed") })
	require.NoFileExists(t, mark)
}

func TestOptions(t *testing.T) {
	good := catalog.Options{URL: "/srv/definitions", Dir: t.TempDir(), Store: &memory{}, Logger: slog.Default()}
	_, err := catalog.New(good)
	require.NoError(t, err)
	for want, change := range map[string]func(*catalog.Options){
		"want the repository's URL or path":     func(o *catalog.Options) { o.URL = "" },
		"want the repository's URL":             func(o *catalog.Options) { o.URL = "--upload-pack=x" },
		"want a branch's name":                  func(o *catalog.Options) { o.Branch = "--x" },
		"want a branch's name such as main":     func(o *catalog.Options) { o.Branch = "a b" },
		"a token is for http":                   func(o *catalog.Options) { o.Token = "hidden" },
		"the SSH key cannot be read":            func(o *catalog.Options) { o.SSHKey = "/none" },
		"the known_hosts file cannot be read":   func(o *catalog.Options) { o.KnownHosts = "/none" },
		"want StrictHostKeyChecking":            func(o *catalog.Options) { o.StrictHostKey = "maybe" },
		"the repository's URL cannot be parsed": func(o *catalog.Options) { o.URL = "https://u:hidden@[::1/x" },
		"want a store":                          func(o *catalog.Options) { o.Store = nil },
	} {
		o := good
		change(&o)
		_, err := catalog.New(o)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hidden")
	}
}

func TestMissingGit(t *testing.T) {
	c, err := catalog.New(catalog.Options{URL: "/srv/x", Dir: t.TempDir(), Store: &memory{}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Setenv("PATH", t.TempDir())
	require.ErrorContains(t, c.Run(t.Context()), "install it (apt-get install git)")
}
