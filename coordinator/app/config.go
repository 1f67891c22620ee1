package app

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes/settings"
)

// Prefix starts every setting of the coordinator.
const Prefix = "COORDINATOR_"

// Config is the coordinator's configuration, read from COORDINATOR_… variables.
type Config struct {
	Name string `env:"NAME" help:"this coordinator's name, unique in the fleet; by default the host's name with -coordinator"`

	HTTP          string `env:"HTTP,default=127.0.0.1:8080" help:"address of dashboard and API; more than loopback needs COORDINATOR_PASSWORD and a certificate"`
	OTLPGRPC      string `env:"OTLP_GRPC,default=127.0.0.1:4317" help:"address for traces by OTLP/gRPC"`
	OTLPHTTP      string `env:"OTLP_HTTP,default=127.0.0.1:4318" help:"address for traces by OTLP/HTTP"`
	AdvertiseHTTP string `env:"ADVERTISE_HTTP" help:"URL by which agents reach HTTP, when it is not the bound address (0.0.0.0 and [::] are none to go to)"`
	AdvertiseOTLP string `env:"ADVERTISE_OTLP" help:"HOST:PORT by which agents reach OTLP_GRPC, when it is not the bound address (0.0.0.0 and [::] are none to go to)"`
	PublicURL     string `env:"PUBLIC_URL" help:"URL by which people reach the dashboard, for links in alerts; by default the HTTP address"`
	Password      string `env:"PASSWORD" help:"password of the dashboard and API (user: any name, it signs notes); none is needed on loopback"`
	PasswordFile  string `env:"PASSWORD_FILE" help:"a file with the password, instead of PASSWORD"`
	TLSCert       string `env:"TLS_CERT" help:"PEM certificate for HTTP and OTLP"`
	TLSKey        string `env:"TLS_KEY" help:"PEM key of TLS_CERT"`
	Plaintext     bool   `env:"PLAINTEXT,default=false" help:"true allows listening beyond loopback without a certificate, behind a proxy that encrypts"`

	ClusterKey      string   `env:"CLUSTER_KEY" help:"encrypts gossip and proves membership: 32 bytes as base64, the same on every member (openssl rand -base64 32)"`
	ClusterKeyFile  string   `env:"CLUSTER_KEY_FILE" help:"a file with the cluster key, instead of CLUSTER_KEY"`
	ClusterLabel    string   `env:"CLUSTER_LABEL,default=gengfu" help:"keeps fleets apart that can reach each other"`
	GossipBind      string   `env:"GOSSIP_BIND,default=127.0.0.1:7946" help:"address for gossip, TCP and UDP; other hosts need more than loopback"`
	GossipAdvertise string   `env:"GOSSIP_ADVERTISE" help:"address that other members use, when it is not the bound one"`
	GossipProfile   string   `env:"GOSSIP_PROFILE,default=lan" help:"timings: lan, wan or local (one host)"`
	Join            []string `env:"JOIN" help:"members to join, HOST:PORT separated by commas; tried for ever"`

	DataDir         string `env:"DATA_DIR,default=/var/lib/gengfu-coordinator" help:"database and the mirror of the definitions' repository"`
	DiskWarnPercent int    `env:"DISK_WARN_PERCENT,default=5" help:"warn on the dashboard when the disk of DATA_DIR has less free, in percent; 0 does not look at it"`
	DiskWarnMB      int    `env:"DISK_WARN_MB,default=500" help:"warn on the dashboard when the disk of DATA_DIR has less free, in MB (1000000 bytes); 0 does not look at it"`

	GitURL          string        `env:"GIT_URL" help:"repository of the definitions: any URL or path that git understands (required to serve)"`
	GitBranch       string        `env:"GIT_BRANCH,default=main" help:"branch to follow"`
	GitFolder       string        `env:"GIT_FOLDER" help:"folder of the definitions inside the repository"`
	GitSSHKey       string        `env:"GIT_SSH_KEY" help:"private key file for SSH"`
	GitKnownHosts   string        `env:"GIT_KNOWN_HOSTS" help:"known_hosts file for SSH; by default the user's"`
	GitToken        string        `env:"GIT_TOKEN" help:"token for HTTPS"`
	GitPoll         time.Duration `env:"GIT_POLL,default=30s" help:"how often the repository is looked at; the webhook POST /api/v1/catalog/poll looks at once"`
	GitWebhookToken string        `env:"GIT_WEBHOOK_TOKEN" help:"token that the Git server's webhook must present (Authorization: Bearer, or X-Gitlab-Token)"`

	Title      string `env:"TITLE,default=公共服务拨测" help:"name on the dashboard"`
	Client     string `env:"CLIENT" help:"the client's name on documents (甲方, 信息中心)"`
	Compiler   string `env:"COMPILER" help:"the organisation that compiles the documents (编制单位)"`
	SecretsDir string `env:"SECRETS_DIR" help:"folder with one file a secret; COORDINATOR_SECRET_<NAME> variables work too"`

	StopWithin time.Duration `env:"STOP_WITHIN,default=20s" help:"how long a stop may take"`
	LogLevel   string        `env:"LOG_LEVEL,default=info" help:"debug, info, warn or error"`
}

// ready checks the configuration whole and fills what follows from the host.
func (c *Config) ready() (key []byte, err error) {
	var errs []error
	if c.Name == "" {
		name, err := os.Hostname()
		if err != nil {
			errs = append(errs, fmt.Errorf("COORDINATOR_NAME is not set and the host's name cannot be read: %w", err))
		}
		c.Name = name + "-coordinator"
	}
	if key, err = settings.ClusterKey(Prefix, c.ClusterKey, c.ClusterKeyFile); err != nil {
		errs = append(errs, err)
	}
	if c.GitURL == "" {
		errs = append(errs, errors.New("COORDINATOR_GIT_URL is not set: want the repository of the definitions, e.g. https://git.example.test/ops/definitions.git or /srv/definitions"))
	}
	if c.PasswordFile != "" {
		b, err := os.ReadFile(c.PasswordFile)
		if err != nil {
			errs = append(errs, fmt.Errorf("reading COORDINATOR_PASSWORD_FILE: %w", err))
		}
		c.Password = strings.TrimRight(string(b), "\r\n")
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		errs = append(errs, errors.New("COORDINATOR_TLS_CERT and COORDINATOR_TLS_KEY go together; only one is set"))
	}
	for name, addr := range map[string]string{"HTTP": c.HTTP, "OTLP_GRPC": c.OTLPGRPC, "OTLP_HTTP": c.OTLPHTTP} {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			errs = append(errs, fmt.Errorf("COORDINATOR_%s: want HOST:PORT, got %q", name, addr))
			continue
		}
		if !settings.Loopback(addr) && c.TLSCert == "" && !c.Plaintext {
			errs = append(errs, fmt.Errorf("COORDINATOR_%s=%s is reachable from other hosts without encryption: set COORDINATOR_TLS_CERT and COORDINATOR_TLS_KEY, or COORDINATOR_PLAINTEXT=true behind a proxy that encrypts", name, addr))
		}
	}
	if !settings.Loopback(c.HTTP) && len(c.Password) < minPassword {
		errs = append(errs, fmt.Errorf("COORDINATOR_HTTP=%s is reachable from other hosts: set COORDINATOR_PASSWORD to at least %d characters", c.HTTP, minPassword))
	}
	errs = append(errs, c.reachable())
	if c.DiskWarnPercent < 0 || c.DiskWarnPercent > 99 {
		errs = append(errs, fmt.Errorf("COORDINATOR_DISK_WARN_PERCENT: want 0 to 99, got %d", c.DiskWarnPercent))
	}
	if c.DiskWarnMB < 0 {
		errs = append(errs, fmt.Errorf("COORDINATOR_DISK_WARN_MB: want 0 or more, got %d", c.DiskWarnMB))
	}
	if c.GitPoll < time.Second {
		errs = append(errs, fmt.Errorf("COORDINATOR_GIT_POLL: want 1s or more, got %s", c.GitPoll))
	}
	if c.PublicURL != "" {
		if u, err := url.Parse(c.PublicURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			errs = append(errs, fmt.Errorf("COORDINATOR_PUBLIC_URL: want http://… or https://…, got %q", c.PublicURL))
		}
	}
	return key, errors.Join(errs...)
}

// reachable checks that agents are told addresses to which they can go.
func (c *Config) reachable() error {
	var bound, unset []string
	for _, a := range []struct{ name, addr, advertised, setting string }{
		{"COORDINATOR_HTTP", c.HTTP, c.AdvertiseHTTP, "COORDINATOR_ADVERTISE_HTTP (a URL such as https://gengfu.example.test:8080)"},
		{"COORDINATOR_OTLP_GRPC", c.OTLPGRPC, c.AdvertiseOTLP, "COORDINATOR_ADVERTISE_OTLP (HOST:PORT such as gengfu.example.test:4317)"},
	} {
		if everywhere(a.addr) && a.advertised == "" {
			bound, unset = append(bound, a.name+"="+a.addr), append(unset, a.setting)
		}
	}
	var errs []error
	if len(bound) > 0 {
		errs = append(errs, fmt.Errorf("%s: agents cannot go to an address that stands for all of this host's: set %s to what they reach this host by",
			strings.Join(bound, " and "), strings.Join(unset, " and ")))
	}
	if c.AdvertiseHTTP != "" {
		if u, err := url.Parse(c.AdvertiseHTTP); err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || everywhere(net.JoinHostPort(u.Hostname(), "1")) {
			errs = append(errs, fmt.Errorf("COORDINATOR_ADVERTISE_HTTP: want http://… or https://… with a host that agents can reach, got %q", c.AdvertiseHTTP))
		}
	}
	if c.AdvertiseOTLP != "" {
		if _, port, err := net.SplitHostPort(c.AdvertiseOTLP); err != nil || port == "" || everywhere(c.AdvertiseOTLP) {
			errs = append(errs, fmt.Errorf("COORDINATOR_ADVERTISE_OTLP: want HOST:PORT that agents can reach, got %q", c.AdvertiseOTLP))
		}
	}
	return errors.Join(errs...)
}

// everywhere reports whether addr is HOST:PORT without a host to go to.
func everywhere(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.WithZone("").Unmap().IsUnspecified()
}

// minPassword is the least length of the dashboard's password, in bytes.
const minPassword = 12
