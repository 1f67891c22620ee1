// Package render turns composed documents into files, one file a format.
package render

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/xuri/excelize/v2"

	"github.com/gengfu/gengfu/coordinator/record"
)

// XLSXType is the media type of a workbook.
const XLSXType = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

// font is what Chinese offices have; a viewer without it takes its own.
const font = "宋体"

// Sizes of letters, in points.
const (
	titleSize = 20.0
	lineSize  = 11.0
	cellSize  = 9.0
)

// XLSX writes a sheet as a workbook, ready to print on A3 across. Every cell is
// text: a name that begins with "=" stays a name. The same sheet gives the same bytes.
func XLSX(w io.Writer, s record.Sheet, base string) (err error) {
	f := excelize.NewFile()
	defer func() { err = errors.Join(err, f.Close()) }()
	b := &book{f: f, base: strings.TrimSuffix(base, "/"), styles: map[string]int{}}
	taken := map[string]bool{}
	for i, t := range s.Tables {
		name := sheetName(t.Title, i)
		if taken[strings.ToLower(name)] {
			name = sheetName("", i)
		}
		taken[strings.ToLower(name)] = true
		if i == 0 {
			if err := f.SetSheetName(f.GetSheetName(0), name); err != nil {
				return fmt.Errorf("naming the sheet %q: %w", name, err)
			}
		} else if _, err := f.NewSheet(name); err != nil {
			return fmt.Errorf("adding the sheet %q: %w", name, err)
		}
		if err := b.table(name, s, t); err != nil {
			return fmt.Errorf("writing the sheet %q: %w", name, err)
		}
	}
	// excelize stamps the current time otherwise.
	stamp := s.Period.To.UTC().Format("2006-01-02T15:04:05Z")
	if err := f.SetDocProps(&excelize.DocProperties{
		Title: s.Title, Subject: s.Period.Name, Identifier: s.Number, Description: s.Digest, Creator: "Gengfu", LastModifiedBy: "Gengfu",
		Created: stamp, Modified: stamp,
	}); err != nil {
		return fmt.Errorf("describing the workbook: %w", err)
	}
	if err := f.Write(w); err != nil {
		return fmt.Errorf("writing the workbook: %w", err)
	}
	return nil
}

// sheetName makes a legal name: at most 31 characters, none of : \ / ? * [ ].
func sheetName(title string, i int) string {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(`:\/?*[]'`, r) {
			return '_'
		}
		return r
	}, title)
	if r := []rune(name); len(r) > 31 {
		name = string(r[:31])
	}
	if name == "" {
		name = fmt.Sprintf("表%d", i+1)
	}
	return name
}

type book struct {
	f      *excelize.File
	base   string // of links
	links  int    // made so far
	styles map[string]int
}

// style returns the workbook's style of that name, made once.
func (b *book) style(name string, s *excelize.Style) (int, error) {
	if id, ok := b.styles[name]; ok {
		return id, nil
	}
	id, err := b.f.NewStyle(s)
	if err != nil {
		return 0, fmt.Errorf("making the style %s: %w", name, err)
	}
	b.styles[name] = id
	return id, nil
}

func borders() []excelize.Border {
	var out []excelize.Border
	for _, side := range []string{"left", "right", "top", "bottom"} {
		out = append(out, excelize.Border{Type: side, Color: "7F7F7F", Style: 1})
	}
	return out
}

// tones are light fills: the word in the cell says the same without them.
var tones = map[string]string{"ok": "", "warn": "FFF4D6", "bad": "FBE0DE", "mute": "EEEEEE"}

// narrow is the width, in characters, below which a column's cells stand in its
// middle: figures, times and single words do, sentences and names do not.
const narrow = 10

func (b *book) cellStyle(tone string, link, middle bool) (int, error) {
	s := &excelize.Style{
		Border: borders(), Font: &excelize.Font{Family: font, Size: cellSize},
		Alignment: &excelize.Alignment{Vertical: "center", WrapText: true},
	}
	if middle {
		s.Alignment.Horizontal = "center"
	}
	if link {
		s.Font.Color = "1F3F7A" // not underlined: on paper that is a line through the form
	}
	if tone == "bad" {
		s.Font.Bold = true
	}
	if c := tones[tone]; c != "" {
		s.Fill = excelize.Fill{Type: "pattern", Pattern: 1, Color: []string{c}}
	}
	return b.style(fmt.Sprintf("cell %s %t %t", tone, link, middle), s)
}

func (b *book) table(name string, s record.Sheet, t record.Table) error {
	title, err := b.style("title", &excelize.Style{
		Font: &excelize.Font{Family: font, Size: titleSize, Bold: true}, Alignment: &excelize.Alignment{Horizontal: "center", Vertical: "center"},
	})
	if err != nil {
		return err
	}
	line, err := b.style("line", &excelize.Style{
		Font: &excelize.Font{Family: font, Size: lineSize}, Alignment: &excelize.Alignment{Vertical: "center", WrapText: true},
	})
	if err != nil {
		return err
	}
	head, err := b.style("head", &excelize.Style{
		Border: borders(), Font: &excelize.Font{Family: font, Size: cellSize, Bold: true},
		Fill:      excelize.Fill{Type: "pattern", Pattern: 1, Color: []string{"D9E2F0"}},
		Alignment: &excelize.Alignment{Horizontal: "center", Vertical: "center", WrapText: true},
	})
	if err != nil {
		return err
	}
	cols := len(t.Columns)
	for i, c := range t.Columns {
		col, err := excelize.ColumnNumberToName(i + 1)
		if err != nil {
			return fmt.Errorf("naming column %d: %w", i+1, err)
		}
		if err := b.f.SetColWidth(name, col, col, c.Width); err != nil {
			return fmt.Errorf("setting the width of %q: %w", c.Title, err)
		}
	}
	row := 1
	if err := b.across(name, row, t.Columns, []string{s.Title}, title, 34); err != nil {
		return err
	}
	row++
	// The head in two halves, as paper forms have it.
	for pair := range slices.Chunk(s.Head, 2) {
		texts := []string{"", ""}
		for i, l := range pair {
			texts[i] = l.Label + "：" + l.Text
		}
		if err := b.across(name, row, t.Columns, texts, line, 18); err != nil {
			return err
		}
		row++
	}
	if s.Summary != "" {
		if err := b.across(name, row, t.Columns, []string{s.Summary}, line, 20); err != nil {
			return err
		}
		row++
	}
	headRow := row
	for i, c := range t.Columns {
		if err := b.put(name, i+1, row, c.Title, head, ""); err != nil {
			return err
		}
	}
	if err := b.f.SetRowHeight(name, row, headHeight(t.Columns)); err != nil {
		return fmt.Errorf("setting a row's height: %w", err)
	}
	row++
	for _, cells := range t.Rows {
		for i, c := range cells {
			// Some programs do not break the text of a link over lines: it would be cut.
			link := c.Link
			if lines(c.Text, letters(t.Columns[i].Width, cellSize)) > 1 {
				link = ""
			}
			middle := t.Columns[i].Width < narrow || c.Text == record.ToFill || utf8.RuneCountInString(c.Text) < 2
			style, err := b.cellStyle(c.Tone, b.target(link) != "", middle)
			if err != nil {
				return err
			}
			if err := b.put(name, i+1, row, c.Text, style, link); err != nil {
				return err
			}
		}
		if err := b.f.SetRowHeight(name, row, height(t.Columns, cells)); err != nil {
			return fmt.Errorf("setting a row's height: %w", err)
		}
		row++
	}
	for _, texts := range footRows(s.Foot) {
		least := 18.0
		if len(texts) > 1 || strings.HasSuffix(texts[0], "：") {
			least = 44 // room for a pen and a stamp
		}
		if err := b.across(name, row, t.Columns, texts, line, least); err != nil {
			return err
		}
		row++
	}
	return b.page(name, s, headRow, cols, row-1)
}

// footRows puts lines without a text beside each other: people sign there.
func footRows(foot []record.Line) [][]string {
	var rows [][]string
	signing := false
	for _, l := range foot {
		text := l.Label + "：" + l.Text
		if signing && l.Text == "" {
			rows[len(rows)-1] = append(rows[len(rows)-1], text)
			continue
		}
		rows = append(rows, []string{text})
		signing = l.Text == ""
	}
	return rows
}

func headHeight(columns []record.Column) float64 {
	tallest := 0.0
	for _, c := range columns {
		tallest = max(tallest, room(c.Title, c.Width, cellSize))
	}
	return tallest
}

// height is enough for the tallest cell of a row.
func height(columns []record.Column, cells []record.Cell) float64 {
	tallest := 0.0
	for i, c := range cells {
		tallest = max(tallest, room(c.Text, columns[i].Width, cellSize))
	}
	return tallest
}

// room is the height, in points, that a text in letters of that size takes in a
// column of that width: excelize fits no heights, and a text cut on paper is a
// text lost.
func room(text string, width, size float64) float64 {
	return min(float64(lines(text, letters(width, size)))*size*1.36+4, maxHeight)
}

// letters is how many letters of that size stand beside each other in a column.
func letters(width, size float64) int {
	// A character of the standard font is seven pixels of 0.75 points wide; a cell
	// keeps some for itself, and fonts differ.
	return max(int((7*width-3)*0.75/(size/2)*0.94), 2)
}

// lines counts the lines of a text when a line takes per letters, a Chinese
// character being two. A word moves to the next line unless it is longer than one.
func lines(text string, per int) int {
	n := 0
	for part := range strings.SplitSeq(text, "\n") {
		n++
		used, word := 0, 0 // letters on the line, and of the word at its end
		for _, r := range part {
			letters, breaks := 1, strings.ContainsRune(" -/", r)
			if r > 0x2000 {
				letters, breaks = 2, true
			}
			if used+letters > per && r != ' ' {
				n++
				if breaks || word == used {
					word = 0
				}
				used = word
			}
			used += letters
			word += letters
			if breaks {
				word = 0
			}
		}
	}
	return n
}

// maxHeight is the tallest row that a workbook may have, in points.
const maxHeight = 409

// across writes texts over the whole width, each over an equal share of it.
func (b *book) across(name string, row int, columns []record.Column, texts []string, style int, least float64) error {
	total := 0.0
	for _, c := range columns {
		total += c.Width
	}
	tallest, from, passed := least, 0, 0.0
	for i, text := range texts {
		to, width := from, 0.0
		for to < len(columns) && (i == len(texts)-1 || to == from || passed+columns[to].Width/2 <= total*float64(i+1)/float64(len(texts))) {
			passed, width, to = passed+columns[to].Width, width+columns[to].Width, to+1
		}
		if to == from {
			break // more texts than columns
		}
		if err := b.put(name, from+1, row, text, style, ""); err != nil {
			return err
		}
		if err := b.merge(name, from+1, to, row); err != nil {
			return err
		}
		tallest, from = max(tallest, room(text, width, lineSize)), to
	}
	if err := b.f.SetRowHeight(name, row, tallest); err != nil {
		return fmt.Errorf("setting a row's height: %w", err)
	}
	return nil
}

func (b *book) merge(name string, from, to, row int) error {
	if from == to {
		return nil // a range of one cell is a broken workbook
	}
	first, err := excelize.CoordinatesToCellName(from, row)
	if err != nil {
		return fmt.Errorf("naming a cell: %w", err)
	}
	last, err := excelize.CoordinatesToCellName(to, row)
	if err != nil {
		return fmt.Errorf("naming a cell: %w", err)
	}
	if err := b.f.MergeCell(name, first, last); err != nil {
		return fmt.Errorf("merging %s to %s: %w", first, last, err)
	}
	return nil
}

// escaped is how a workbook writes a character by its number: a text that only
// looks like it would be read as that character.
var escaped = regexp.MustCompile(`_x[0-9A-Fa-f]{4}_`)

// maxCell is the longest text a cell may hold.
const maxCell = 32767

func (b *book) put(name string, col, row int, text string, style int, link string) error {
	cell, err := excelize.CoordinatesToCellName(col, row)
	if err != nil {
		return fmt.Errorf("naming a cell: %w", err)
	}
	if r := []rune(text); len(r) > maxCell {
		text = string(r[:maxCell-1]) + "…"
	}
	text = escaped.ReplaceAllString(text, "_x005F$0")
	// SetCellStr writes a string whatever the text begins with: never a formula.
	if err := b.f.SetCellStr(name, cell, text); err != nil {
		return fmt.Errorf("writing %s: %w", cell, err)
	}
	if err := b.f.SetCellStyle(name, cell, cell, style); err != nil {
		return fmt.Errorf("styling %s: %w", cell, err)
	}
	if to := b.target(link); to != "" && b.links < maxLinks {
		b.links++
		if err := b.f.SetCellHyperLink(name, cell, to, "External"); err != nil {
			return fmt.Errorf("linking %s: %w", cell, err)
		}
	}
	return nil
}

// The bounds of links in a workbook: the length of one, in bytes, and how many.
const (
	maxLink  = 2079
	maxLinks = 65_000
)

// target is where a link leads: a page of ours, or a web address; "" for neither.
func (b *book) target(link string) string {
	switch {
	case strings.HasPrefix(link, "https://"), strings.HasPrefix(link, "http://"):
	case strings.HasPrefix(link, "/") && b.base != "":
		link = b.base + link
	default:
		return ""
	}
	if len(link) > maxLink {
		return ""
	}
	return link
}

// page sets the sheet up for paper: A3 across, one page wide, the columns' names on every page.
func (b *book) page(name string, s record.Sheet, headRow, cols, last int) error {
	landscape, a3, one, zero := "landscape", 8, 1, 0
	if err := b.f.SetPageLayout(name, &excelize.PageLayoutOptions{Orientation: &landscape, Size: &a3, FitToWidth: &one, FitToHeight: &zero}); err != nil {
		return fmt.Errorf("setting the paper: %w", err)
	}
	fit := true
	if err := b.f.SetSheetProps(name, &excelize.SheetPropsOptions{FitToPage: &fit}); err != nil {
		return fmt.Errorf("fitting to the paper: %w", err)
	}
	side, end, foot, middle := 0.4, 0.55, 0.25, true
	if err := b.f.SetPageMargins(name, &excelize.PageLayoutMarginsOptions{
		Left: &side, Right: &side, Top: &side, Bottom: &end, Footer: &foot, Horizontally: &middle,
	}); err != nil {
		return fmt.Errorf("setting the margins: %w", err)
	}
	face := `&"` + font + `"&9`
	if err := b.f.SetHeaderFooter(name, &excelize.HeaderFooterOptions{
		OddFooter: "&L" + face + s.Number + "&C" + face + "第 &P 页 共 &N 页&R" + face + "校验码 " + s.Digest[:min(16, len(s.Digest))],
	}); err != nil {
		return fmt.Errorf("setting the footer: %w", err)
	}
	if err := b.f.SetPanes(name, &excelize.Panes{
		Freeze: true, XSplit: 6, YSplit: headRow, TopLeftCell: fmt.Sprintf("G%d", headRow+1), ActivePane: "bottomRight",
	}); err != nil {
		return fmt.Errorf("freezing the columns' names: %w", err)
	}
	lastCol, err := excelize.ColumnNumberToName(cols)
	if err != nil {
		return fmt.Errorf("naming column %d: %w", cols, err)
	}
	for _, d := range []excelize.DefinedName{
		{Name: "_xlnm.Print_Area", RefersTo: fmt.Sprintf("'%s'!$A$1:$%s$%d", name, lastCol, last), Scope: name},
		{Name: "_xlnm.Print_Titles", RefersTo: fmt.Sprintf("'%s'!$%d:$%d", name, headRow, headRow), Scope: name},
	} {
		if err := b.f.SetDefinedName(&d); err != nil {
			return fmt.Errorf("setting %s: %w", d.Name, err)
		}
	}
	return nil
}
