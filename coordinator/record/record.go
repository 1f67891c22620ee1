// Package record composes the official documents. Composition is pure: the
// same facts give the same sheet; package render turns sheets into files.
package record

import (
	"time"
)

// Period is the time a document speaks for.
type Period struct {
	Name string    `json:"name"` // "2026-11-25"
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Cell is one cell of a table.
type Cell struct {
	Text  string `json:"text"`
	Link  string `json:"link,omitempty"`  // the page behind the figure
	Tone  string `json:"tone,omitempty"`  // "", "ok", "warn", "bad", "mute": never the only sign
	Field string `json:"field,omitempty"` // set when a person fills this cell, e.g. "handler"
	Row   string `json:"row,omitempty"`   // identifies the row for filling
}

// Column is one column of a table.
type Column struct {
	Title string  `json:"title"`
	Width float64 `json:"width"` // in characters
	Group string  `json:"group,omitempty"`
}

// Table is one table of a document.
type Table struct {
	Title   string   `json:"title"`
	Columns []Column `json:"columns"`
	Rows    [][]Cell `json:"rows"`
}

// Line is one line of a document's head: label and text.
type Line struct {
	Label string `json:"label"`
	Text  string `json:"text"`
}

// Sheet is a composed document, ready for any format.
type Sheet struct {
	Kind    string  `json:"kind"`   // "daily"
	Title   string  `json:"title"`  // 服务发布日常监控记录
	Number  string  `json:"number"` // 文档编号
	Period  Period  `json:"period"`
	Head    []Line  `json:"head"`
	Summary string  `json:"summary"` // a paragraph made from data
	Tables  []Table `json:"tables"`
	Foot    []Line  `json:"foot"`
	Digest  string  `json:"digest"` // SHA-256 over the facts, 数据校验码
}

// ToFill is what a cell holds that no probe can know.
const ToFill = "〔待填〕"
