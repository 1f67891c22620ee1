package probes

import "fmt"

// Verdict is what a run, a slot or a service is judged to be. The zero value
// is Unknown, so a forgotten field can never read as "up".
type Verdict uint8

// The verdicts. No data is Unknown, never Up and never Down.
const (
	Unknown Verdict = iota
	Up
	Degraded
	Down
)

var verdictNames = [...]string{Unknown: "unknown", Up: "up", Degraded: "degraded", Down: "down"}

// Verdicts lists all verdicts, in order of their values.
func Verdicts() []Verdict { return []Verdict{Unknown, Up, Degraded, Down} }

// String returns the identifier used in code, traces and the API.
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict(%d)", uint8(v))
}

// ParseVerdict is the inverse of String.
func ParseVerdict(s string) (Verdict, error) {
	for v, name := range verdictNames {
		if name == s {
			return Verdict(v), nil
		}
	}
	return Unknown, fmt.Errorf("verdict: want up, degraded, down or unknown, got %q", s)
}

// MarshalText makes the verdict its identifier in JSON.
func (v Verdict) MarshalText() ([]byte, error) {
	if int(v) >= len(verdictNames) {
		return nil, fmt.Errorf("verdict %d is outside the closed list", uint8(v))
	}
	return []byte(verdictNames[v]), nil
}

// UnmarshalText reads an identifier.
func (v *Verdict) UnmarshalText(b []byte) error {
	got, err := ParseVerdict(string(b))
	if err != nil {
		return err
	}
	*v = got
	return nil
}
