package api

import (
	_ "embed"
	"fmt"
	"net/http"
)

//go:embed openapi.json
var openapiJSON []byte

func (s *server) openapi(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if _, err := w.Write(openapiJSON); err != nil {
		return fmt.Errorf("writing the API's description: %w", err)
	}
	return nil
}
