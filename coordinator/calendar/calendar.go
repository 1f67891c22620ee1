// Package calendar owns days, rounds and windows in Asia/Shanghai, whatever the
// host's zone. It is pure.
package calendar

import (
	"fmt"
	"time"
	_ "time/tzdata" // a bureau's host may have no zone files
)

// Zone is the zone of every record, day and figure.
var Zone = mustZone()

func mustZone() *time.Location {
	z, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		panic(fmt.Sprintf("the embedded zone data lacks Asia/Shanghai: %v", err))
	}
	return z
}

// Day returns the first instant of t's day and of the next day, in Zone.
func Day(t time.Time) (from, to time.Time) {
	y, m, d := t.In(Zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, Zone), time.Date(y, m, d+1, 0, 0, 0, 0, Zone)
}

// ParseDay reads "2026-11-25" as a day in Zone.
func ParseDay(s string) (from, to time.Time, err error) {
	t, err := time.ParseInLocation("2006-01-02", s, Zone)
	if err != nil {
		return time.Time{}, time.Time{}, fmt.Errorf("day: want a date like 2026-11-25, got %q", s)
	}
	from, to = Day(t)
	return from, to, nil
}
