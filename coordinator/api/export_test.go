package api

import (
	"reflect"

	"github.com/gengfu/gengfu/coordinator/alert"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/coordinator/record"
	"github.com/gengfu/gengfu/coordinator/view"
)

// SetMost sets how many may listen at once.
func (h *Hub) SetMost(n int) { h.most = n }

// Queue is how many events a listener may be behind.
const Queue = queue

// Patterns lists every route, as registered.
func Patterns() (patterns []string, query map[string][]string) {
	query = map[string][]string{}
	for _, r := range append(people[:len(people):len(people)], machines...) {
		patterns = append(patterns, r.pattern)
		query[r.pattern] = r.query
	}
	return patterns, query
}

// OpenAPI is the document.
func OpenAPI() []byte { return openapiJSON }

// Answers are the types that the API answers with.
func Answers() []reflect.Type {
	return []reflect.Type{
		reflect.TypeFor[view.Overview](), reflect.TypeFor[view.ServiceRow](), reflect.TypeFor[view.Service](), reflect.TypeFor[view.RunRow](),
		reflect.TypeFor[view.Run](), reflect.TypeFor[availabilityRow](), reflect.TypeFor[incident.Incident](), reflect.TypeFor[view.Incident](),
		reflect.TypeFor[alert.Delivery](), reflect.TypeFor[silence](), reflect.TypeFor[view.Agent](), reflect.TypeFor[view.CatalogState](),
		reflect.TypeFor[view.Record](), reflect.TypeFor[record.Sheet](), reflect.TypeFor[Event](), reflect.TypeFor[Problem](),
	}
}
