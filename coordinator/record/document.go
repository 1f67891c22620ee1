package record

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gengfu/gengfu/coordinator/calendar"
)

// Document is one official form. Compose is pure: same facts, same sheet.
type Document struct {
	Kind    string
	Title   string
	Period  func(name string) (Period, error)
	Compose func(Period, Facts) (Sheet, error)
}

// Documents lists the forms.
func Documents() []Document { return []Document{Daily} }

// ErrKind says that there is no such document.
var ErrKind = errors.New("no such document")

// Find returns the document of a kind.
func Find(kind string) (Document, error) {
	var kinds []string
	for _, d := range Documents() {
		if d.Kind == kind {
			return d, nil
		}
		kinds = append(kinds, d.Kind)
	}
	return Document{}, fmt.Errorf("document %q: %w; want one of %s", kind, ErrKind, strings.Join(kinds, ", "))
}

func dayPeriod(name string) (Period, error) {
	from, to, err := calendar.ParseDay(name)
	if err != nil {
		return Period{}, err
	}
	return Period{Name: name, From: from, To: to}, nil
}
