package browserprobe

import (
	"slices"

	"github.com/gengfu/gengfu/probes"
)

const (
	zone     = "Asia/Shanghai"
	language = "zh-CN"

	androidBase = "Mozilla/5.0 (Linux; Android 14; 23113RKC6C Build/UKQ1.230804.001; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/122.0.6261.120 Mobile Safari/537.36"
	iPhoneBase  = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
)

// webview are the client hints of an Android webview. WebKit has none.
var webview = []probes.Brand{{Name: "Android WebView", Version: "122"}, {Name: "Chromium", Version: "122"}, {Name: "Not(A:Brand", Version: "24"}}

// Devices lists what a browser probe may pretend to be, the default first.
func Devices() []probes.Device {
	return []probes.Device{
		{
			Name:      "desktop",
			UserAgent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
			Platform:  "Win32", Width: 1366, Height: 768, Scale: 1, Language: language, TimeZone: zone,
			ClientHints: []probes.Brand{{Name: "Chromium", Version: "156"}, {Name: "Not(A:Brand", Version: "24"}},
		},
		android("android", "Mozilla/5.0 (Linux; Android 14; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Mobile Safari/537.36",
			probes.Brand{Name: "Chromium", Version: "156"}, probes.Brand{Name: "Not(A:Brand", Version: "24"}),
		iPhone("ios", iPhoneBase+" Version/17.5 Mobile/15E148 Safari/604.1"),
		inWechat(android("wechat-android", androidBase+" XWEB/1220099 MMWEBSDK/20240404 MMWEBID/5707 MicroMessenger/8.0.49.2600(0x28003133) WeChat/arm64 Weixin NetType/WIFI Language/zh_CN ABI/arm64", webview...)),
		inWechat(iPhone("wechat-ios", iPhoneBase+" Mobile/15E148 MicroMessenger/8.0.50(0x18003230) NetType/WIFI Language/zh_CN")),
		android("app-android", androidBase, webview...),
		iPhone("app-ios", iPhoneBase+" Mobile/15E148"),
	}
}

func android(name, agent string, brands ...probes.Brand) probes.Device {
	return probes.Device{
		Name: name, UserAgent: agent, Platform: "Linux aarch64", Width: 393, Height: 873, Scale: 2,
		Mobile: true, Touch: true, Language: language, TimeZone: zone, ClientHints: brands,
	}
}

func iPhone(name, agent string) probes.Device {
	return probes.Device{
		Name: name, UserAgent: agent, Platform: "iPhone", Width: 390, Height: 844, Scale: 2,
		Mobile: true, Touch: true, Language: language, TimeZone: zone,
	}
}

func inWechat(d probes.Device) probes.Device {
	d.Wechat = true
	if d.ClientHints != nil { // Android's webview names its application
		d.Headers = map[string]string{"X-Requested-With": "com.tencent.mm"}
	}
	return d
}

func deviceNames() []string {
	var names []string
	for _, d := range Devices() {
		names = append(names, d.Name)
	}
	return names
}

// device finds a device by name; the empty name is the default.
func device(name string) (probes.Device, bool) {
	all := Devices()
	if name == "" {
		return all[0], true
	}
	i := slices.IndexFunc(all, func(d probes.Device) bool { return d.Name == name })
	if i < 0 {
		return probes.Device{}, false
	}
	return all[i], true
}
