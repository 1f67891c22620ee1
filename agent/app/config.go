package app

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gengfu/gengfu/agent/hosts"
	"github.com/gengfu/gengfu/probes/settings"
)

// Prefix starts every setting of the agent.
const Prefix = "AGENT_"

// Config is the agent's configuration, read from AGENT_… variables.
type Config struct {
	Name    string            `env:"NAME" help:"this agent's name, unique in the fleet; by default the host's name"`
	Site    string            `env:"SITE,required" help:"the vantage: agents of one site are one voice when a failure is confirmed"`
	ISP     string            `env:"ISP" help:"the line, e.g. telecom, unicom, mobile"`
	Network string            `env:"NETWORK,default=internet" help:"the network, e.g. internet or gov-extranet"`
	Labels  map[string]string `env:"LABELS,separator==" help:"further labels, e.g. room=b2,rack=7"`
	Weight  float64           `env:"WEIGHT,default=1" help:"share of the work against other agents, above 0"`

	ClusterKey      string   `env:"CLUSTER_KEY" help:"encrypts gossip and proves membership: 32 bytes as base64, the same on every member (openssl rand -base64 32)"`
	ClusterKeyFile  string   `env:"CLUSTER_KEY_FILE" help:"a file with the cluster key, instead of CLUSTER_KEY"`
	ClusterLabel    string   `env:"CLUSTER_LABEL,default=gengfu" help:"keeps fleets apart that can reach each other"`
	GossipBind      string   `env:"GOSSIP_BIND,default=127.0.0.1:7946" help:"address for gossip, TCP and UDP; other hosts need more than loopback"`
	GossipAdvertise string   `env:"GOSSIP_ADVERTISE" help:"address that other members use, when it is not the bound one"`
	GossipProfile   string   `env:"GOSSIP_PROFILE,default=lan" help:"timings: lan, wan or local (one host)"`
	Join            []string `env:"JOIN" help:"members to join, HOST:PORT separated by commas; tried for ever"`

	DataDir       string `env:"DATA_DIR,default=/var/lib/gengfu-agent" help:"spool, cached definitions and browser profiles"`
	SpoolMaxBytes int64  `env:"SPOOL_MAX_BYTES,default=1073741824" help:"bound of undelivered traces and pictures on disk; beyond it the oldest go, and are counted"`
	SecretsDir    string `env:"SECRETS_DIR" help:"folder with one file a secret; AGENT_SECRET_<NAME> variables work too"`

	Browser     string        `env:"BROWSER,default=auto" help:"auto, off, or the path of a Chromium"`
	MaxBrowsers int           `env:"MAX_BROWSER_RUNS" help:"browser runs at one time; by default half the cores, at least 1"`
	MaxRuns     int           `env:"MAX_RUNS,default=64" help:"plain runs at one time, those that confirm others' failures included"`
	Hosts       []string      `env:"HOSTS" help:"names seen at chosen addresses, e.g. *.example.test=10.0.0.8"`
	CAFile      string        `env:"CA_FILE" help:"PEM file of roots trusted beside the host's, for coordinators that serve https and by plain probes"`
	UserAgent   string        `env:"USER_AGENT_SUFFIX,default=GengfuProbe/1" help:"marks our requests, so that a site's owner can tell them from people"`
	Check       []string      `env:"REFERENCE_TARGETS" help:"HOST:PORT that are always reachable from here; when none answers the agent doubts itself and its runs are unknown"`
	StopWithin  time.Duration `env:"STOP_WITHIN,default=20s" help:"how long a stop may take: running probes end, the spool is flushed"`
	LogLevel    string        `env:"LOG_LEVEL,default=info" help:"debug, info, warn or error"`
}

// ready checks the configuration whole and fills what follows from the host.
func (c *Config) ready() (key []byte, m *hosts.Map, err error) {
	m, err = c.readyAlone()
	errs := []error{err}
	key, err = settings.ClusterKey(Prefix, c.ClusterKey, c.ClusterKeyFile)
	errs = append(errs, err)
	return key, m, errors.Join(errs...)
}

// readyAlone is ready for an agent that joins no fleet.
func (c *Config) readyAlone() (*hosts.Map, error) {
	var errs []error
	if c.Name == "" {
		name, err := os.Hostname()
		if err != nil {
			errs = append(errs, fmt.Errorf("AGENT_NAME is not set and the host's name cannot be read: %w", err))
		}
		c.Name = name
	}
	if strings.TrimSpace(c.Site) == "" {
		errs = append(errs, errors.New("AGENT_SITE is empty: want the name of the place that this agent looks from, e.g. room-a"))
	}
	if profiles := []string{"lan", "wan", "local"}; !slices.Contains(profiles, c.GossipProfile) {
		errs = append(errs, fmt.Errorf("AGENT_GOSSIP_PROFILE: want one of %s, got %q", strings.Join(profiles, ", "), c.GossipProfile))
	}
	errs = append(errs, hostPorts("AGENT_JOIN", c.Join)...)
	errs = append(errs, hostPorts("AGENT_REFERENCE_TARGETS", c.Check)...)
	if c.Weight <= 0 {
		errs = append(errs, fmt.Errorf("AGENT_WEIGHT: want a number above 0, got %g", c.Weight))
	}
	if c.MaxBrowsers <= 0 {
		c.MaxBrowsers = max(1, runtime.NumCPU()/2)
	}
	if c.MaxRuns <= 0 {
		errs = append(errs, fmt.Errorf("AGENT_MAX_RUNS: want at least 1, got %d", c.MaxRuns))
	}
	m, err := hosts.Parse(c.Hosts)
	if err != nil {
		errs = append(errs, fmt.Errorf("AGENT_HOSTS: %w", err))
	}
	return m, errors.Join(errs...)
}

// hostPorts checks that each of the setting's values is HOST:PORT.
func hostPorts(name string, values []string) []error {
	var errs []error
	for _, v := range values {
		host, port, err := net.SplitHostPort(v)
		if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || host == "" || n == 0 {
			errs = append(errs, fmt.Errorf("%s: want HOST:PORT separated by commas, e.g. host.example.test:7946, got %q", name, v))
		}
	}
	return errs
}

func (c *Config) labels() map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, c.Labels)
	labels["site"] = c.Site
	if c.ISP != "" {
		labels["isp"] = c.ISP
	}
	if c.Network != "" {
		labels["network"] = c.Network
	}
	return labels
}
