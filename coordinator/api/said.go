package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// said is the body of what a person does to an incident.
type said struct {
	By   string `json:"by"`
	Text string `json:"text"`
}

// maxSaid bounds the body of what a person says, in bytes.
const maxSaid = 64 << 10

func readSaid(w http.ResponseWriter, r *http.Request) (said, error) {
	var v said
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return v, refused{http.StatusUnsupportedMediaType, fmt.Sprintf("Content-Type: want application/json, got %q", r.Header.Get("Content-Type"))}
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSaid))
	dec.DisallowUnknownFields()
	err := dec.Decode(&v)
	if err == nil {
		// Whatever follows the object was meant to say something, too.
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("want nothing after the object")
		}
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return v, refused{http.StatusRequestEntityTooLarge, fmt.Sprintf("body: want at most %d bytes", maxSaid)}
	}
	if err != nil {
		return v, badRequest("body: want {\"by\": …, \"text\": …}: %s", err)
	}
	if strings.TrimSpace(v.By) == "" {
		return v, badRequest("by: want the name of the person who acts")
	}
	return v, nil
}

func (s *server) ack(w http.ResponseWriter, r *http.Request) error {
	v, err := readSaid(w, r)
	if err != nil {
		return err
	}
	if v.Text != "" {
		return badRequest("text: an acknowledgement has none; add a note instead")
	}
	if err := s.Writer.Ack(r.Context(), r.PathValue("id"), v.By); err != nil {
		return err
	}
	return s.changed(w, r)
}

func (s *server) note(w http.ResponseWriter, r *http.Request) error {
	v, err := readSaid(w, r)
	if err != nil {
		return err
	}
	if strings.TrimSpace(v.Text) == "" {
		return badRequest("text: want what is to be noted")
	}
	if err := s.Writer.Note(r.Context(), r.PathValue("id"), v.By, v.Text); err != nil {
		return err
	}
	return s.changed(w, r)
}

// changed tells the live pages of a changed incident and answers it.
func (s *server) changed(w http.ResponseWriter, r *http.Request) error {
	s.Events.Publish(Event{Kind: "incident", ID: r.PathValue("id")})
	return s.incident(w, r)
}
