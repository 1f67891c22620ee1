package ingest

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/gengfu/gengfu/probes"
)

const (
	typeProtobuf = "application/x-protobuf"
	typeJSON     = "application/json"
)

// Traces receives traces by OTLP/HTTP, as protobuf or JSON; it is for
// "POST /v1/traces".
func (i *Ingest) Traces() http.Handler { return http.HandlerFunc(i.serveTraces) }

// Evidence receives pictures and texts; it is for
// "PUT /api/v1/evidence/{sha256}".
func (i *Ingest) Evidence() http.Handler { return http.HandlerFunc(i.serveEvidence) }

// refusal is why a request was not served.
type refusal struct {
	status int
	code   codes.Code // as OTLP/HTTP wants it in the answer's body
	text   string
}

// Error implements error.
func (r *refusal) Error() string { return r.text }

func refuse(status int, code codes.Code, format string, args ...any) error {
	return &refusal{status: status, code: code, text: fmt.Sprintf(format, args...)}
}

func (i *Ingest) serveTraces(w http.ResponseWriter, r *http.Request) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != typeProtobuf && kind != typeJSON {
		err = refuse(http.StatusUnsupportedMediaType, codes.InvalidArgument, "want Content-Type %s or %s", typeProtobuf, typeJSON)
		kind = typeJSON
	}
	var resp proto.Message
	if err == nil {
		resp, err = i.exportHTTP(w, r, kind)
	}
	code := http.StatusOK
	if err != nil {
		var why *refusal
		if !errors.As(err, &why) {
			why = &refusal{status: http.StatusServiceUnavailable, code: codes.Unavailable, text: troubleText}
		}
		code = why.status
		resp = &statuspb.Status{Code: int32(why.code), Message: why.text}
	}
	answer(w, kind, code, resp)
}

func answer(w http.ResponseWriter, kind string, code int, m proto.Message) {
	marshal := proto.Marshal
	if kind == typeJSON {
		marshal = protojson.Marshal
	}
	body, err := marshal(m)
	if err != nil {
		http.Error(w, "encoding the answer failed", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", kind)
	hints(w, code)
	w.WriteHeader(code)
	_, _ = w.Write(body) // a client that left is no concern of ours
}

// hints adds what certain statuses call for.
func hints(w http.ResponseWriter, code int) {
	switch code {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	}
}

// uploadWithin bounds a body from whoever has the token, instead of the server's
// own, tighter bound: agents sit behind slow lines, too.
const uploadWithin = 5 * time.Minute

// admit checks the token, takes a place and gives the body its time.
func (i *Ingest) admit(w http.ResponseWriter, r *http.Request) (leave func(), err error) {
	if !i.authorized(r.Header.Get("Authorization")) {
		return nil, refuse(http.StatusUnauthorized, codes.Unauthenticated, unauthorizedText)
	}
	leave, ok := i.enter()
	if !ok {
		return nil, refuse(http.StatusTooManyRequests, codes.ResourceExhausted, busyText)
	}
	// A writer without deadlines, as in front of some tests, has no bound to lift.
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(uploadWithin)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		leave()
		return nil, refuse(http.StatusBadRequest, codes.InvalidArgument, "reading the body: %s", probes.Excerpt(err.Error()))
	}
	return leave, nil
}

func (i *Ingest) exportHTTP(w http.ResponseWriter, r *http.Request, kind string) (proto.Message, error) {
	leave, err := i.admit(w, r)
	if err != nil {
		return nil, err
	}
	defer leave()
	body, err := readBody(w, r, MaxMessage)
	if err != nil {
		return nil, err
	}
	req, err := parse(kind, body)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, codes.InvalidArgument, "reading OTLP: %s", probes.Excerpt(err.Error()))
	}
	return i.store(r.Context(), req.GetResourceSpans())
}

// parse reads an OTLP request. In OTLP's JSON ids are hexadecimal, which plain
// protojson would take for base64, so the Collector's own reader is used.
func parse(kind string, body []byte) (*collectorpb.ExportTraceServiceRequest, error) {
	if kind == typeJSON {
		req := ptraceotlp.NewExportRequest()
		if err := req.UnmarshalJSON(body); err != nil {
			return nil, err
		}
		var err error
		if body, err = req.MarshalProto(); err != nil {
			return nil, err
		}
	}
	var req collectorpb.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &req); err != nil {
		return nil, err
	}
	return &req, nil
}

// readBody reads at most limit bytes, and as many after decompression.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	var body io.Reader = http.MaxBytesReader(w, r.Body, limit)
	switch encoding := r.Header.Get("Content-Encoding"); strings.ToLower(encoding) {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, bodyError(err, limit)
		}
		// Closing it would only check what is read in full anyway.
		body = z
	default:
		return nil, refuse(http.StatusUnsupportedMediaType, codes.InvalidArgument, "want Content-Encoding gzip or none, got %q", probes.Excerpt(encoding))
	}
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, bodyError(err, limit)
	}
	if int64(len(data)) > limit {
		return nil, tooLarge(limit)
	}
	return data, nil
}

func bodyError(err error, limit int64) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return tooLarge(limit)
	}
	return refuse(http.StatusBadRequest, codes.InvalidArgument, "reading the body: %s", probes.Excerpt(err.Error()))
}

func tooLarge(limit int64) error {
	return refuse(http.StatusRequestEntityTooLarge, codes.InvalidArgument, "want at most %d bytes", limit)
}

// kinds are the media types that evidence may have, and what it then is. None of
// them runs a script when a person opens it.
var kinds = map[string]string{
	"image/jpeg": "screenshot", "image/png": "screenshot", "image/webp": "screenshot", "text/plain": "body",
}

// textUTF8 is what texts are kept as: probes turn every page into UTF-8, and a
// browser that is not told so shows Chinese as something else.
const textUTF8 = "text/plain; charset=utf-8"

func (i *Ingest) serveEvidence(w http.ResponseWriter, r *http.Request) {
	err := i.putEvidence(w, r)
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	var why *refusal
	if !errors.As(err, &why) {
		i.trouble.Do(func() { i.o.Logger.Error("storing evidence failed, agents keep it", "error", err) })
		why = &refusal{status: http.StatusServiceUnavailable, text: troubleText}
	}
	hints(w, why.status)
	problem(w, why.status, why.text)
}

// problem answers as RFC 9457 wants it, like the rest of the API.
func problem(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
	w.WriteHeader(status)
	// A client that left is no concern of ours.
	_ = json.NewEncoder(w).Encode(map[string]any{"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": text})
}

func (i *Ingest) putEvidence(w http.ResponseWriter, r *http.Request) error {
	leave, err := i.admit(w, r)
	if err != nil {
		return err
	}
	defer leave()
	name := r.PathValue("sha256")
	if want, err := hex.DecodeString(name); err != nil || len(want) != sha256.Size || name != strings.ToLower(name) {
		return refuse(http.StatusBadRequest, codes.InvalidArgument, "want a SHA-256 of 64 lower-case hex digits, got %q", probes.Excerpt(name))
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	kind, ok := kinds[media]
	if err != nil || !ok {
		return refuse(http.StatusUnsupportedMediaType, codes.InvalidArgument, "want image/jpeg, image/png, image/webp or text/plain, got %q", probes.Excerpt(r.Header.Get("Content-Type")))
	}
	if media == "text/plain" {
		media = textUTF8
	}
	data, err := readBody(w, r, MaxEvidence)
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != name {
		return refuse(http.StatusBadRequest, codes.InvalidArgument, "the content's SHA-256 is %x, not the one in the address", sum)
	}
	e := probes.Evidence{Kind: kind, MIME: media, SHA256: name, Size: len(data), Data: data}
	err = i.o.Store.PutEvidence(r.Context(), e)
	i.wrote(r.Context(), err)
	if err != nil {
		return fmt.Errorf("storing evidence %s: %w", name, err)
	}
	i.evidence.Add(1)
	return nil
}
