package dashboards

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gengfu/gengfu/coordinator/calendar"
	"github.com/gengfu/gengfu/coordinator/record"
	"github.com/gengfu/gengfu/coordinator/view"
)

type recordsPage struct {
	Records []view.Record
	Today   string
}

// dailyKind is the record that the day picker opens.
const dailyKind = "daily"

func (s *site) records(w http.ResponseWriter, r *http.Request) {
	if day := r.URL.Query().Get("day"); day != "" {
		if _, _, err := calendar.ParseDay(day); err != nil {
			s.say(w, r, http.StatusBadRequest, "error.day", "error.day.text", "/records")
			return
		}
		kind := r.URL.Query().Get("kind")
		if kind == "" {
			kind = dailyKind
		}
		http.Redirect(w, r, sheetPath(kind, day), http.StatusSeeOther)
		return
	}
	list, err := s.src.Records(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p := s.open(w, r, "records")
	p.Title = p.t("nav.records")
	p.D = recordsPage{Records: list, Today: p.Now.In(calendar.Zone).Format(time.DateOnly)}
	s.render(w, r, http.StatusOK, "records.html", p)
}

func sheetPath(kind, day string) string {
	return "/records/" + url.PathEscape(kind) + "/" + url.PathEscape(day)
}

type sheetPage struct {
	record.Sheet
	Day          string
	Previous     string // the day before and after; empty when there is none to show
	Next         string
	Today        string
	Path         string
	XLSX         string
	ToFill, Rows int
	First        string // the address that opens the first 〔待填〕
	Views        []tableView
	Edit         *edit
}

// tableView is a table with its cells' places, for the page.
type tableView struct {
	Title   string
	Groups  []columnGroup
	Columns []columnView
	Rows    [][]cellView
}

type columnView struct {
	record.Column
	Key   bool
	Share float64 // of a printed page's width, in percent
}

// columnGroup spans the columns under one heading.
type columnGroup struct {
	Title string
	Span  int
}

type cellView struct {
	record.Cell
	ID       string
	Editable bool
	Empty    bool // 〔待填〕
	Long     bool
	Key      bool // names the row: stays in sight when the table scrolls
	Editing  bool
	Edit     string // the address that opens its form
	Href     string // Link, when a page may link there
	External bool
}

// edit is the cell that a person is about to fill.
type edit struct {
	Row, Field, Column, Subject, Value, Close string
	NextRow                                   string // the next 〔待填〕 of the same column; empty when there is none
	Others                                    int    // 〔待填〕 in the same column, this one aside
}

func (s *site) sheet(w http.ResponseWriter, r *http.Request) {
	kind, day := r.PathValue("kind"), r.PathValue("day")
	from, _, err := calendar.ParseDay(day)
	if err != nil {
		s.say(w, r, http.StatusBadRequest, "error.day", "error.day.text", "/records")
		return
	}
	sheet, err := s.src.Record(r.Context(), kind, day)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p := s.open(w, r, "records")
	p.Title = sheet.Title + " " + day
	d := sheetPage{
		Sheet: sheet, Day: day, Path: sheetPath(kind, day),
		XLSX:     "/api/v1/records/" + url.PathEscape(kind+"-"+day) + ".xlsx",
		Today:    p.Now.In(calendar.Zone).Format(time.DateOnly),
		Previous: sheetPath(kind, from.AddDate(0, 0, -1).Format(time.DateOnly)),
	}
	if day < d.Today {
		d.Next = sheetPath(kind, from.AddDate(0, 0, 1).Format(time.DateOnly))
	}
	row, field := r.URL.Query().Get("row"), r.URL.Query().Get("field")
	for k, t := range sheet.Tables {
		v := p.viewTable(t, k, d.Path, row, field)
		d.Views = append(d.Views, v)
		for _, cells := range v.Rows {
			for _, c := range cells {
				if !c.Empty {
					continue
				}
				d.ToFill++
				if d.First == "" {
					d.First = c.Edit
				}
			}
		}
		d.Rows += len(t.Rows)
		if row != "" && field != "" && d.Edit == nil {
			d.Edit = editing(t, row, field)
		}
	}
	if d.Edit != nil {
		d.Edit.Close = d.Path
	}
	p.D = d
	s.render(w, r, http.StatusOK, "sheet.html", p)
}

// longCell is the number of runes from which a cell gets room to wrap.
const longCell = 18

func (p *page) viewTable(t record.Table, index int, path, row, field string) tableView {
	v := tableView{Title: t.Title}
	grouped, key, width := false, keyColumn(t), 0.0
	for _, c := range t.Columns {
		width += c.Width
	}
	for j, c := range t.Columns {
		v.Columns = append(v.Columns, columnView{c, j == key, 100 * c.Width / max(width, 1)})
		if n := len(v.Groups); n > 0 && v.Groups[n-1].Title == c.Group {
			v.Groups[n-1].Span++
		} else {
			v.Groups = append(v.Groups, columnGroup{Title: c.Group, Span: 1})
		}
		grouped = grouped || c.Group != ""
	}
	if !grouped {
		v.Groups = nil
	}
	for i, list := range t.Rows {
		var cells []cellView
		for j, c := range list {
			cell := cellView{
				Cell: c, ID: cellID(index, i, j), Editable: c.Field != "" && c.Row != "",
				Empty: c.Text == record.ToFill, Long: len([]rune(c.Text)) > longCell,
				Key: j == key, Editing: c.Field != "" && c.Row == row && c.Field == field,
			}
			if cell.Editable {
				q := url.Values{"row": {c.Row}, "field": {c.Field}}
				cell.Edit = path + "?" + q.Encode() + "#" + cell.ID
			}
			cell.Href, cell.External = p.linkOf(c.Link)
			cells = append(cells, cell)
		}
		v.Rows = append(v.Rows, cells)
	}
	return v
}

// keyColumn is the column that names a row: the first that links to a service.
func keyColumn(t record.Table) int {
	for _, cells := range t.Rows {
		for j, c := range cells {
			if strings.HasPrefix(c.Link, "/services/") {
				return j
			}
		}
	}
	return -1
}

func cellID(table, row, column int) string {
	return fmt.Sprintf("c%d-%d-%d", table, row, column)
}

// linkOf lets a cell link to a page of ours or to a web address, nowhere else.
func (p *page) linkOf(link string) (href string, external bool) {
	if local := p.Local(link); local != "" {
		return local, false
	}
	web := p.Web(link)
	return web, web != ""
}

func editing(t record.Table, row, field string) *edit {
	var e *edit
	others, next := 0, ""
	for _, cells := range t.Rows {
		for j, c := range cells {
			switch {
			case c.Field != field || j >= len(t.Columns):
			case c.Row == row:
				e = &edit{Row: row, Field: field, Column: t.Columns[j].Title, Subject: subject(t, cells), Value: c.Text}
				if e.Value == record.ToFill {
					e.Value = ""
				}
			case c.Text == record.ToFill:
				others++
				if e != nil && next == "" {
					next = c.Row
				}
			}
		}
	}
	if e != nil {
		e.Others, e.NextRow = others, next
	}
	return e
}

// unfilled are the rows whose cell of that field asks for a text.
func unfilled(s record.Sheet, field string) []string {
	var rows []string
	for _, t := range s.Tables {
		for _, cells := range t.Rows {
			for _, c := range cells {
				if c.Field == field && c.Text == record.ToFill {
					rows = append(rows, c.Row)
				}
			}
		}
	}
	return rows
}

// subject names a row for people: its first few short texts say which it is.
func subject(t record.Table, cells []record.Cell) string {
	var parts []string
	for j, c := range cells {
		if j >= len(t.Columns) || c.Field != "" || c.Text == "" || len([]rune(c.Text)) > 24 {
			continue
		}
		parts = append(parts, c.Text)
		if len(parts) == 6 {
			break
		}
	}
	return strings.Join(parts, " · ")
}

func (s *site) fill(w http.ResponseWriter, r *http.Request) {
	kind, day := r.PathValue("kind"), r.PathValue("day")
	back := sheetPath(kind, day)
	by, ok := s.form(w, r, back)
	if !ok {
		return
	}
	if _, _, err := calendar.ParseDay(day); err != nil {
		s.say(w, r, http.StatusBadRequest, "error.day", "error.day.text", "/records")
		return
	}
	row, field := r.PostForm.Get("row"), r.PostForm.Get("field")
	if row == "" || field == "" {
		s.say(w, r, http.StatusUnprocessableEntity, "error.form", "error.form.text", back)
		return
	}
	value := cut(oneLine(r.PostForm.Get("value")), textMax)
	rows := []string{row}
	all := r.PostForm.Get("all") != "" && value != ""
	if all { // who watched the day is one name in ninety rows
		sheet, err := s.src.Record(r.Context(), kind, day)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		rows = append(rows, slices.DeleteFunc(unfilled(sheet, field), func(other string) bool { return other == row })...)
	}
	for _, row := range rows {
		if err := s.act.Fill(r.Context(), kind, day, row, field, value, by); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	if next := r.PostForm.Get("next"); next != "" && !all {
		// People fill a column from top to bottom: the next empty cell opens.
		back += "?" + url.Values{"row": {next}, "field": {field}}.Encode()
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}
