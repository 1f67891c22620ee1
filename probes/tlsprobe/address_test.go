package tlsprobe

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDepthOfAddresses(t *testing.T) {
	for text, want := range map[string]depth{
		"8.8.8.8": depthPublic, "203.0.113.1": depthPublic, "223.255.255.255": depthPublic, "2400:3200::1": depthPublic,
		"::ffff:8.8.8.8": depthPublic, "64:ff9b::8.8.8.8": depthPublic, "2002:808:808::1": depthPublic,
		"10.0.0.1": depthPrivate, "172.16.0.1": depthPrivate, "172.31.255.255": depthPrivate, "192.168.1.1": depthPrivate,
		"100.64.0.1": depthPrivate, "198.19.0.1": depthPrivate, "224.0.0.1": depthPrivate, "255.255.255.255": depthPrivate,
		"fd00::1": depthPrivate, "fec0::1": depthPrivate, "ff02::1": depthPrivate, "64:ff9b:1::1": depthPrivate,
		"::ffff:10.0.0.1": depthPrivate, "64:ff9b::10.0.0.1": depthPrivate, "2002:a00:1::1": depthPrivate,
		"0.0.0.0": depthHost, "127.0.0.1": depthHost, "127.255.0.1": depthHost, "169.254.169.254": depthHost,
		"100.100.100.200": depthHost, "168.63.129.16": depthHost, "192.0.0.192": depthHost,
		"::": depthHost, "::1": depthHost, "::127.0.0.1": depthHost, "fe80::1": depthHost, "fe80::1%eth0": depthHost,
		"::ffff:127.0.0.1": depthHost, "64:ff9b::127.0.0.1": depthHost, "2002:7f00:1::1": depthHost, "fd00:ec2::254": depthHost,
	} {
		require.Equal(t, want, depthOf(netip.MustParseAddr(text)), text)
	}
	require.Less(t, depthPublic, depthPrivate)
	require.Less(t, depthPrivate, depthHost)
}
