package dashboards_test

import (
	"reflect"
	"time"

	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/coordinator/record"
	"github.com/gengfu/gengfu/coordinator/view"
	"github.com/gengfu/gengfu/probes"
)

// poison closes every context a page could put it into.
const poison = `"'></title></textarea></svg></script><script>alert(1)</script><img src=x onerror=alert(2)>{{.}} ${secret:X} 　` + "\u202e"

// hostile is the bad morning with poison in every text, after what it had.
func hostile() *fixture {
	f := rich()
	spoil(reflect.ValueOf(&f.overview).Elem(), "")
	for id, v := range f.services {
		spoil(reflect.ValueOf(&v).Elem(), "")
		f.services[id] = v
	}
	for id, v := range f.runs {
		last := v.LastGood
		spoil(reflect.ValueOf(&v).Elem(), "")
		v.LastGood = last
		v.Run.Result.URL = `javascript:alert(document.cookie)//` + poison
		v.Run.Result.Evidence = append(v.Run.Result.Evidence, probes.Evidence{Kind: poison, MIME: "image/png", SHA256: "../../" + poison})
		f.runs[id] = v
	}
	for id, v := range f.details {
		spoil(reflect.ValueOf(&v).Elem(), "")
		f.details[id] = v
	}
	for id, v := range f.sheets {
		spoil(reflect.ValueOf(&v).Elem(), "")
		for i, link := range []string{"javascript:alert(1)", "//evil.example/x", `/\evil.example`, "data:text/html,x"} {
			v.Tables[0].Rows[0][i].Link = link
		}
		f.sheets[id] = v
	}
	for _, list := range []any{&f.incidents, &f.agents, &f.records, &f.catalog, &f.alerts} {
		spoil(reflect.ValueOf(list).Elem(), "")
	}
	f.overview.Warnings = append(f.overview.Warnings, view.Warning{Kind: poison, Text: poison, Link: "javascript:alert(1)"})
	f.details["GZ-20261125-0003"].Notes[0].Kind = poison
	return f
}

// kept are the texts that pages branch on or that pages are found by.
var kept = map[reflect.Type]bool{
	reflect.TypeFor[probes.Class](): true, reflect.TypeFor[probes.Channel](): true, reflect.TypeFor[probes.Life](): true,
	reflect.TypeFor[incident.Grade](): true, reflect.TypeFor[time.Time](): true,
}

// spoil puts poison behind every string in v.
func spoil(v reflect.Value, field string) {
	if kept[v.Type()] {
		return
	}
	switch v.Kind() {
	case reflect.String:
		// Evidence is found by digest; a cell keeps to be one to fill.
		if field != "SHA256" && v.String() != record.ToFill && v.CanSet() {
			v.SetString(v.String() + poison)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			spoil(v.Elem(), "")
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				spoil(v.Field(i), v.Type().Field(i).Name)
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			spoil(v.Index(i), "")
		}
	case reflect.Map:
		if v.Type().Elem().Kind() != reflect.String {
			return
		}
		for _, k := range v.MapKeys() {
			v.SetMapIndex(k, reflect.ValueOf(v.MapIndex(k).String()+poison))
		}
	}
}
