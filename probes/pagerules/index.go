package pagerules

import (
	"slices"
	"strings"
	"sync"
)

// index finds the texts that the table's rules speak of, all in one pass: looking
// for each of them by itself costs a healthy page more than all else that is
// read out of it.
type index struct {
	first [1024]bool        // a text begins with a rune of these last bits
	texts map[rune][]string // by their first rune
}

// found is the texts that a page holds; nil says that nobody looked.
type found map[string]bool

// has reports whether page holds text.
func (f found) has(page, text string) bool {
	if f == nil {
		return strings.Contains(page, text)
	}
	return f[text]
}

var known = sync.OnceValue(func() *index { return newIndex(spoken()) })

// spoken lists every text that the table's rules look for in titles and texts.
func spoken() (all []string) {
	for _, r := range rules {
		all = slices.Concat(all, r.titles, r.texts, r.unless, r.support)
		for _, p := range r.phrases {
			all = append(all, p.text)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func newIndex(texts []string) *index {
	x := &index{texts: map[rune][]string{}}
	for _, text := range texts {
		for _, r := range text {
			x.first[r&1023] = true
			x.texts[r] = append(x.texts[r], text)
			break
		}
	}
	return x
}

// find is the texts that page holds; never nil.
func (x *index) find(page string) found {
	out := found{}
	for i, r := range page {
		if !x.first[r&1023] {
			continue
		}
		for _, text := range x.texts[r] {
			if strings.HasPrefix(page[i:], text) {
				out[text] = true
			}
		}
	}
	return out
}
