package app

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAgentsAreToldWhereTheyCanGo(t *testing.T) {
	valid := Config{
		HTTP: "127.0.0.1:8080", OTLPGRPC: "127.0.0.1:4317", OTLPHTTP: "127.0.0.1:4318", GitURL: "/x", GitPoll: 1e9, Plaintext: true,
		Password: "correct horse battery", ClusterKey: "00000000000000000000000000000000", Name: "c",
	}
	check := func(change func(*Config)) error {
		c := valid
		change(&c)
		_, err := c.ready()
		return err
	}
	require.NoError(t, check(func(*Config) {}))
	for _, host := range []string{"", "0.0.0.0", "[::]", "[::ffff:0.0.0.0]"} {
		err := check(func(c *Config) { c.HTTP, c.OTLPGRPC, c.OTLPHTTP = host+":8080", host+":4317", host+":4318" })
		require.ErrorContains(t, err, "COORDINATOR_HTTP="+host+":8080 and COORDINATOR_OTLP_GRPC="+host+":4317: agents cannot go to")
		require.ErrorContains(t, err, "set COORDINATOR_ADVERTISE_HTTP (")
		require.ErrorContains(t, err, "and COORDINATOR_ADVERTISE_OTLP (")
		require.Equal(t, 1, strings.Count(err.Error(), "\n")+1, "one mistake: %v", err)

		require.NoError(t, check(func(c *Config) {
			c.HTTP, c.OTLPGRPC, c.OTLPHTTP = host+":8080", host+":4317", host+":4318"
			c.AdvertiseHTTP, c.AdvertiseOTLP = "https://gengfu.example.test:8080", "gengfu.example.test:4317"
		}))
		err = check(func(c *Config) { c.OTLPGRPC = host + ":4317" })
		require.ErrorContains(t, err, "set COORDINATOR_ADVERTISE_OTLP (")
		require.NotContains(t, err.Error(), "ADVERTISE_HTTP")
	}
	for _, bad := range []string{"http://0.0.0.0:8080", "https://[::]:8080", "gengfu.example.test:8080", "https://:8080", "ftp://a.test"} {
		require.ErrorContains(t, check(func(c *Config) { c.AdvertiseHTTP = bad }), "COORDINATOR_ADVERTISE_HTTP: want", bad)
	}
	for _, bad := range []string{"0.0.0.0:4317", ":4317", "[::]:4317", "gengfu.example.test", "gengfu.example.test:"} {
		require.ErrorContains(t, check(func(c *Config) { c.AdvertiseOTLP = bad }), "COORDINATOR_ADVERTISE_OTLP: want", bad)
	}
	require.ErrorContains(t, check(func(c *Config) { c.DiskWarnPercent = 100 }), "COORDINATOR_DISK_WARN_PERCENT")
	require.ErrorContains(t, check(func(c *Config) { c.DiskWarnMB = -1 }), "COORDINATOR_DISK_WARN_MB")
}
