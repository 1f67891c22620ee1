package importer

import (
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gengfu/gengfu/probes"
)

const maxID = 63

// add begins a service. target is its address or host, for an id where the name
// gives none.
func (j *job) add(at place, name, group, target string) *draft {
	d := &draft{at: at, name: display(name), owner: display(j.Owner), comment: []string{fmt.Sprintf("From %s:%d.", path.Base(at.file), at.line)}}
	if d.name == "" {
		d.name = display(strings.NewReplacer("${", "{").Replace(bare(target)))
	}
	d.id = j.unique(slugOf(name, target))
	if d.name == "" {
		d.name = d.id
	}
	if g := display(group); g != "" {
		d.menu = []string{g}
	}
	d.channel = channelOf(group)
	if d.channel == "" {
		d.assumed = true
		d.channel = j.Channel
	}
	if d.channel == "" {
		d.channel = probes.ChannelRuntime
		if isWeb(target) {
			d.channel = probes.ChannelPortal
		}
	}
	if d.dir = folder(group); d.dir == "" {
		d.dir = string(d.channel)
	}
	j.drafts = append(j.drafts, d)
	return d
}

func isWeb(address string) bool {
	lower := strings.ToLower(address)
	return strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://")
}

// display is a name as people read it: one line, bounded, without ${, which
// definitions do not take here.
func display(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, ""), "${", "{")
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)), " ")
	if utf8.RuneCountInString(s) > 100 {
		s = string([]rune(s)[:100])
	}
	return strings.TrimSpace(s)
}

// slugOf is the id that a name gives; a name in other letters than a to z gives
// none, and the target's host and path are taken.
func slugOf(name, target string) string {
	other := func(r rune) bool { return r > unicode.MaxASCII && unicode.IsLetter(r) }
	if s := slug(name); s != "" && !strings.ContainsFunc(name, other) {
		return s
	}
	if s := slug(bare(target)); s != "" {
		return s
	}
	return "service"
}

// bare is an address without scheme, user, query and fragment.
func bare(address string) string {
	if _, after, ok := strings.Cut(address, "://"); ok {
		address = after
	}
	if end := strings.IndexAny(address, "?#"); end >= 0 {
		address = address[:end]
	}
	host, path, _ := strings.Cut(address, "/")
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		host = host[at+1:]
	}
	return strings.TrimSuffix(host+"/"+path, "/")
}

// slug keeps a to z and digits, with single dashes between.
func slug(s string) string {
	var b strings.Builder
	dash := false
	for _, r := range s {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			if dash && b.Len() > 0 {
				b.WriteByte('-')
			}
			b.WriteRune(r)
			dash = false
			if b.Len() >= maxID {
				break
			}
			continue
		}
		dash = true
	}
	return b.String()[:min(b.Len(), maxID)]
}

// unique makes id one that nobody has: id, id-2, id-3, …
func (j *job) unique(id string) string {
	out := id
	for n := 2; j.ids[out]; n++ {
		suffix := fmt.Sprintf("-%d", n)
		out = strings.TrimRight(id[:min(len(id), maxID-len(suffix))], "-") + suffix
	}
	j.ids[out] = true
	return out
}

// folder is a group's folder: letters and digits of any script.
func folder(group string) string {
	var b strings.Builder
	dash := false
	for _, r := range display(group) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			if dash && b.Len() > 0 {
				b.WriteByte('-')
			}
			dash = false
			if r = unicode.ToLower(r); b.Len()+utf8.RuneLen(r) > maxID {
				break
			}
			b.WriteRune(r)
			continue
		}
		dash = true
	}
	return strings.TrimRight(b.String(), "-")
}

// channelWords are what groups are called that belong to a channel.
var channelWords = []struct {
	channel probes.Channel
	words   []string
}{
	{probes.ChannelWechat, []string{"wechat", "weixin", "微信", "公众号"}},
	{probes.ChannelPlatform, []string{"platform", "市平台", "平台接口"}},
	{probes.ChannelPortal, []string{"portal", "门户"}},
	{probes.ChannelRuntime, []string{"runtime", "运行环境", "中间件", "业务节点"}},
}

// channelOf is the channel that a group names, "" when it names none.
func channelOf(group string) probes.Channel {
	lower := strings.ToLower(group)
	if c := probes.Channel(lower); c.Known() {
		return c
	}
	for _, c := range channelWords {
		for _, w := range c.words {
			if strings.Contains(lower, w) {
				return c.channel
			}
		}
	}
	return ""
}
