// Package cluster joins the programs of a fleet by gossip: who is alive, with
// which labels, small named states that every member ends up agreeing on, and
// directed messages. It wraps memberlist, always encrypted, and knows nothing
// of probes.
package cluster

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// Errors that callers tell apart.
var (
	ErrInUse    = errors.New("address in use")    // by New: something listens there already
	ErrNoMember = errors.New("no such member")    // by Send: nobody alive has that name
	ErrStopped  = errors.New("cluster has ended") // after Run returned
)

// DefaultRejoinEvery is how often seeds are tried again, so that the halves of a
// healed partition find each other.
const DefaultRejoinEvery = 30 * time.Second

// Options configure a Cluster. Name, Bind and Key are required.
type Options struct {
	Name        string        // unique in the fleet
	Bind        string        // host:port for TCP and UDP; port 0 takes a free one
	Advertise   string        // host or host:port under which others reach us; empty means Bind
	Join        []string      // seeds, host:port; none for the first member
	Key         []byte        // 16, 24 or 32 bytes, the same on every member
	Label       string        // keeps fleets apart that share a key; default "gengfu"
	Profile     string        // "lan" (default), "wan" or "local"
	Meta        Meta          // what the others should know of us
	RejoinEvery time.Duration // default DefaultRejoinEvery; jittered by a quarter
	Logger      *slog.Logger  // default slog.Default
}

// Member is one live member of the fleet. Its maps and slices are shared: read only.
type Member struct {
	Name string
	Addr string // host:port of its gossip
	Meta Meta
	Self bool
}

// Stats count what happened since New.
type Stats struct {
	Received uint64 // messages handed to a handler
	Merged   uint64 // states merged
	Dropped  uint64 // messages and states dropped because a queue was full
	Refused  uint64 // frames that could not be understood or had no taker
	Health   int    // memberlist's score of ourselves: 0 is well, higher is worse
}

// Cluster is one member. New binds, Run joins; after Run has returned it is of no more use.
type Cluster struct {
	o      Options
	log    *slog.Logger
	bridge *logBridge
	list   *memberlist.Memberlist
	net    *transport
	addr   string

	setMeta sync.Mutex // serialises SetMeta

	mu       sync.Mutex // protects the following
	meta     Meta
	encoded  []byte // meta as the others get it
	members  map[string]node
	states   map[string]State
	handlers map[string]func(from string, payload []byte)
	large    map[string]bool // states waiting to be sent over TCP
	running  bool
	stopped  bool

	changed   chan struct{}
	messages  chan message
	merges    chan stateFrame
	sendLarge chan struct{}
	sending   chan struct{} // places for concurrent Sends
	senders   sync.WaitGroup
	gossip    *memberlist.TransmitLimitedQueue

	received, merged, dropped, refused atomic.Uint64
}

// node is a member as the event delegate told us. memberlist's own Node values
// change under its lock, so they are copied and never kept.
type node struct {
	member Member
	addr   net.IP
	port   uint16
}

const (
	messageQueue = 256
	mergeQueue   = 64
	maxSends     = 16
)

// New binds the gossip address. The member is reachable at once, but joins
// nobody before Run. When Run is never called, Close frees the address.
func New(o Options) (*Cluster, error) {
	return newCluster(o, func(t memberlist.NodeAwareTransport) memberlist.NodeAwareTransport { return t })
}

// newCluster lets wrap stand between memberlist and the network, so that tests
// can part it.
func newCluster(o Options, wrap func(memberlist.NodeAwareTransport) memberlist.NodeAwareTransport) (*Cluster, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	encoded, err := o.Meta.encode()
	if err != nil {
		return nil, err
	}
	bindIP, bindPort, err := resolve(o.Bind, 0)
	if err != nil {
		return nil, fmt.Errorf("gossip bind address: %w", err)
	}
	c := &Cluster{
		o:         o,
		log:       o.Logger,
		bridge:    &logBridge{log: o.Logger},
		meta:      o.Meta.clone(),
		encoded:   encoded,
		members:   map[string]node{},
		states:    map[string]State{},
		handlers:  map[string]func(string, []byte){},
		large:     map[string]bool{},
		changed:   make(chan struct{}, 1),
		messages:  make(chan message, messageQueue),
		merges:    make(chan stateFrame, mergeQueue),
		sendLarge: make(chan struct{}, 1),
		sending:   make(chan struct{}, maxSends),
	}
	bridge := log.New(c.bridge, "", 0)
	c.net, err = listen(bindIP, bindPort, bridge)
	if err != nil {
		return nil, err
	}
	cfg := profiles[o.Profile]()
	cfg.Name = o.Name
	cfg.Transport = wrap(c.net)
	cfg.BindAddr, cfg.BindPort = bindIP, c.net.GetAutoBindPort()
	cfg.AdvertisePort = cfg.BindPort
	if o.Advertise != "" {
		cfg.AdvertiseAddr, cfg.AdvertisePort, err = resolve(o.Advertise, cfg.BindPort)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("gossip advertise address: %w", err), c.net.Shutdown())
		}
	}
	cfg.Label = o.Label
	cfg.SecretKey = o.Key
	cfg.Logger = bridge
	cfg.Delegate = delegate{c}
	cfg.Events = events{c}
	cfg.Conflict = conflicts{c}
	cfg.MsgpackUseNewTimeFormat = true
	c.gossip = &memberlist.TransmitLimitedQueue{NumNodes: c.count, RetransmitMult: cfg.RetransmitMult}
	c.list, err = memberlist.Create(cfg)
	if err != nil {
		err = fmt.Errorf("starting gossip on %s (when no address suits, set the advertise address): %w", o.Bind, err)
		return nil, errors.Join(err, c.net.Shutdown())
	}
	c.addr = c.list.LocalNode().Address()
	return c, nil
}

func (o *Options) validate() error {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Profile == "" {
		o.Profile = "lan"
	}
	if o.Label == "" {
		o.Label = "gengfu"
	}
	if o.RejoinEvery <= 0 {
		o.RejoinEvery = DefaultRejoinEvery
	}
	var errs []error
	if o.Name == "" || len(o.Name) > 128 || strings.ContainsAny(o.Name, "/ \t\r\n") {
		errs = append(errs, fmt.Errorf("member name: want 1 to 128 characters without spaces and slashes, got %q", o.Name))
	}
	if n := len(o.Key); n != 16 && n != 24 && n != 32 {
		errs = append(errs, fmt.Errorf("cluster key: want 16, 24 or 32 bytes, got %d", n))
	}
	if _, ok := profiles[o.Profile]; !ok {
		errs = append(errs, fmt.Errorf("gossip profile: want lan, wan or local, got %q", o.Profile))
	}
	for _, seed := range o.Join {
		if _, port, err := net.SplitHostPort(seed); err != nil || port == "" {
			errs = append(errs, fmt.Errorf("seed: want host:port, got %q", seed))
		}
	}
	return errors.Join(errs...)
}

// resolve reads host:port, or host alone when port is given, into an IP address
// and a port. memberlist would take a name it cannot parse for "every address".
func resolve(addr string, port int) (string, int, error) {
	host := addr
	if h, p, err := net.SplitHostPort(addr); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return "", 0, fmt.Errorf("want a port from 0 to 65535, got %q in %q", p, addr)
		}
		host, port = h, int(n)
	} else if port == 0 {
		return "", 0, fmt.Errorf("want host:port, got %q", addr)
	}
	if host == "" {
		return "0.0.0.0", port, nil
	}
	if net.ParseIP(host) != nil {
		return host, port, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return "", 0, fmt.Errorf("looking up %q: %w", host, err)
	}
	// IPv4 first: "localhost" is often both, and the others are told one.
	for _, ip := range ips {
		if ip = ip.Unmap(); ip.Is4() {
			return ip.String(), port, nil
		}
	}
	return ips[0].String(), port, nil
}

// Run joins the seeds, for as long as it takes, and goes on as a member until
// ctx ends. Then it says good-bye, shuts down and waits for what it started.
func (c *Cluster) Run(ctx context.Context) error {
	c.mu.Lock()
	if c.running || c.stopped {
		c.mu.Unlock()
		return fmt.Errorf("running the cluster a second time: %w", ErrStopped)
	}
	c.running = true
	c.mu.Unlock()

	var wg sync.WaitGroup
	for _, work := range []func(context.Context){c.keepJoined, c.deliver, c.mergeStates, c.sendLargeStates} {
		wg.Go(func() { work(ctx) })
	}
	<-ctx.Done()
	c.net.cancelDials()
	wg.Wait()
	return c.leave(2 * time.Second)
}

// Close frees the address of a member that was never run. It is safe to call
// after Run, and twice.
func (c *Cluster) Close() error {
	c.mu.Lock()
	running := c.running
	c.mu.Unlock()
	if running {
		return nil
	}
	return c.leave(0)
}

// leave says good-bye for at most patience and shuts down.
func (c *Cluster) leave(patience time.Duration) error {
	c.mu.Lock()
	if c.stopped {
		c.mu.Unlock()
		return nil
	}
	c.stopped = true
	c.mu.Unlock()
	c.net.cancelDials()
	if patience > 0 {
		// Failing to say good-bye is no error: the others will notice.
		if err := c.list.Leave(patience); err != nil {
			c.log.Debug("nobody heard the good-bye", "err", err)
		}
	}
	err := c.list.Shutdown()
	c.senders.Wait()
	if err != nil {
		return fmt.Errorf("shutting gossip down: %w", err)
	}
	return nil
}

// Members lists who is alive, ourselves included, ordered by name.
func (c *Cluster) Members() []Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	members := make([]Member, 0, len(c.members)+1)
	for name, n := range c.members {
		if name != c.o.Name {
			members = append(members, n.member)
		}
	}
	members = append(members, Member{Name: c.o.Name, Addr: c.addr, Meta: c.meta, Self: true})
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	return members
}

// Changed receives after members came, went or changed. Several changes may
// arrive as one. There is one channel, for one reader.
func (c *Cluster) Changed() <-chan struct{} { return c.changed }

// Addr is the address under which the others reach us, host:port.
func (c *Cluster) Addr() string { return c.addr }

// Stats returns the counters.
func (c *Cluster) Stats() Stats {
	return Stats{
		Received: c.received.Load(),
		Merged:   c.merged.Load(),
		Dropped:  c.dropped.Load(),
		Refused:  c.refused.Load(),
		Health:   c.list.GetHealthScore(),
	}
}

// SetMeta changes what the others know of us. It does not wait for them.
func (c *Cluster) SetMeta(change func(*Meta)) error {
	c.setMeta.Lock()
	defer c.setMeta.Unlock()
	c.mu.Lock()
	meta := c.meta.clone()
	stopped := c.stopped
	c.mu.Unlock()
	change(&meta)
	encoded, err := meta.encode()
	if err != nil {
		return err
	}
	if stopped {
		return fmt.Errorf("changing the member's metadata: %w", ErrStopped)
	}
	c.mu.Lock()
	c.meta, c.encoded = meta, encoded
	c.mu.Unlock()
	// UpdateNode's only error is that its wait was too short for the message to
	// reach everybody. It travels all the same, so the wait is as short as can be.
	if err := c.list.UpdateNode(time.Nanosecond); err != nil {
		c.log.Debug("metadata is on its way", "detail", err)
	}
	c.notifyChanged()
	return nil
}

func (c *Cluster) notifyChanged() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func (c *Cluster) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(1, len(c.members))
}

// Token is the bearer token that agents use towards coordinators: who holds the
// cluster key can compute it, and it does not give the key away.
func Token(key []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("gengfu agent token v1"))
	return hex.EncodeToString(mac.Sum(nil))
}
