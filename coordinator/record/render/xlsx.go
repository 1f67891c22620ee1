// Package render turns composed documents into files, one file a format.
package render

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/xuri/excelize/v2"

	"github.com/gengfu/gengfu/coordinator/record"
)

// XLSXType is the media type of a workbook.
const XLSXType = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

// font is what Chinese offices have; a viewer without it takes its own.
const font = "宋体"

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

func (b *book) cellStyle(tone string, link bool) (int, error) {
	s := &excelize.Style{
		Border: borders(), Font: &excelize.Font{Family: font, Size: 9},
		Alignment: &excelize.Alignment{Vertical: "center", WrapText: true},
	}
	if link {
		s.Font.Color, s.Font.Underline = "1F4E9E", "single"
	}
	if tone == "bad" {
		s.Font.Bold = true
	}
	if c := tones[tone]; c != "" {
		s.Fill = excelize.Fill{Type: "pattern", Pattern: 1, Color: []string{c}}
	}
	return b.style(fmt.Sprintf("cell %s %t", tone, link), s)
}

func (b *book) table(name string, s record.Sheet, t record.Table) error {
	title, err := b.style("title", &excelize.Style{
		Font: &excelize.Font{Family: font, Size: 18, Bold: true}, Alignment: &excelize.Alignment{Horizontal: "center", Vertical: "center"},
	})
	if err != nil {
		return err
	}
	line, err := b.style("line", &excelize.Style{
		Font: &excelize.Font{Family: font, Size: 10}, Alignment: &excelize.Alignment{Vertical: "center", WrapText: true},
	})
	if err != nil {
		return err
	}
	head, err := b.style("head", &excelize.Style{
		Border: borders(), Font: &excelize.Font{Family: font, Size: 9, Bold: true},
		Fill:      excelize.Fill{Type: "pattern", Pattern: 1, Color: []string{"D9E2F0"}},
		Alignment: &excelize.Alignment{Horizontal: "center", Vertical: "center", WrapText: true},
	})
	if err != nil {
		return err
	}
	cols := len(t.Columns)
	width := 0.0
	for _, c := range t.Columns {
		width += c.Width
	}
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
	if err := b.wide(name, row, cols, s.Title, title, 30); err != nil {
		return err
	}
	row++
	// The head in two halves, as paper forms have it.
	for i := 0; i < len(s.Head); i += 2 {
		if err := b.halves(name, row, cols, s.Head[i:min(i+2, len(s.Head))], line); err != nil {
			return err
		}
		row++
	}
	if s.Summary != "" {
		if err := b.wide(name, row, cols, s.Summary, line, room(s.Summary, width)); err != nil {
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
	if err := b.f.SetRowHeight(name, row, 30); err != nil {
		return fmt.Errorf("setting a row's height: %w", err)
	}
	row++
	for _, cells := range t.Rows {
		for i, c := range cells {
			style, err := b.cellStyle(c.Tone, b.target(c.Link) != "")
			if err != nil {
				return err
			}
			if err := b.put(name, i+1, row, c.Text, style, c.Link); err != nil {
				return err
			}
		}
		if err := b.f.SetRowHeight(name, row, height(t.Columns, cells)); err != nil {
			return fmt.Errorf("setting a row's height: %w", err)
		}
		row++
	}
	for _, l := range s.Foot {
		text := l.Label + "：" + l.Text
		if err := b.wide(name, row, cols, text, line, max(room(text, width), 22)); err != nil {
			return err
		}
		row++
	}
	return b.page(name, s, headRow, cols, row-1)
}

// height is enough for the tallest cell of a row.
func height(columns []record.Column, cells []record.Cell) float64 {
	tallest := 0.0
	for i, c := range cells {
		tallest = max(tallest, room(c.Text, columns[i].Width))
	}
	return tallest
}

// room is the height, in points, that a text takes in a column of that width:
// excelize fits no heights, and a text cut on paper is a text lost.
func room(text string, width float64) float64 {
	per := max(int(width)-1, 1)
	lines := 0
	for part := range strings.SplitSeq(text, "\n") {
		n := 0
		for _, r := range part {
			n++
			if r > 0x2e80 {
				n++ // a Chinese character takes two
			}
		}
		lines += max((n+per-1)/per, 1)
	}
	return min(float64(lines)*12.5+4, maxHeight)
}

// maxHeight is the tallest row that a workbook may have, in points.
const maxHeight = 409

// wide writes a text over the whole width.
func (b *book) wide(name string, row, cols int, text string, style int, height float64) error {
	if err := b.put(name, 1, row, text, style, ""); err != nil {
		return err
	}
	if err := b.merge(name, 1, cols, row); err != nil {
		return err
	}
	if err := b.f.SetRowHeight(name, row, height); err != nil {
		return fmt.Errorf("setting a row's height: %w", err)
	}
	return nil
}

func (b *book) halves(name string, row, cols int, lines []record.Line, style int) error {
	half := cols / 2
	for i, l := range lines {
		from, to := 1+i*half, half
		if i == 1 {
			to = cols
		}
		if err := b.put(name, from, row, l.Label+"："+l.Text, style, ""); err != nil {
			return err
		}
		if err := b.merge(name, from, to, row); err != nil {
			return err
		}
	}
	return nil
}

func (b *book) merge(name string, from, to, row int) error {
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
	narrow, low := 0.4, 0.6
	if err := b.f.SetPageMargins(name, &excelize.PageLayoutMarginsOptions{Left: &narrow, Right: &narrow, Top: &low, Bottom: &low}); err != nil {
		return fmt.Errorf("setting the margins: %w", err)
	}
	if err := b.f.SetHeaderFooter(name, &excelize.HeaderFooterOptions{OddFooter: "&L" + s.Number + "&C第 &P 页 共 &N 页&R" + s.Digest[:min(16, len(s.Digest))]}); err != nil {
		return fmt.Errorf("setting the footer: %w", err)
	}
	if err := b.f.SetPanes(name, &excelize.Panes{
		Freeze: true, XSplit: 6, YSplit: headRow, TopLeftCell: fmt.Sprintf("G%d", headRow+1), ActivePane: "bottomRight",
	}); err != nil {
		return fmt.Errorf("freezing the columns' names: %w", err)
	}
	end, err := excelize.ColumnNumberToName(cols)
	if err != nil {
		return fmt.Errorf("naming column %d: %w", cols, err)
	}
	for _, d := range []excelize.DefinedName{
		{Name: "_xlnm.Print_Area", RefersTo: fmt.Sprintf("'%s'!$A$1:$%s$%d", name, end, last), Scope: name},
		{Name: "_xlnm.Print_Titles", RefersTo: fmt.Sprintf("'%s'!$%d:$%d", name, headRow, headRow), Scope: name},
	} {
		if err := b.f.SetDefinedName(&d); err != nil {
			return fmt.Errorf("setting %s: %w", d.Name, err)
		}
	}
	return nil
}
