package render_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"github.com/gengfu/gengfu/coordinator/calendar"
	"github.com/gengfu/gengfu/coordinator/record"
	"github.com/gengfu/gengfu/coordinator/record/render"
)

const base = "https://gengfu.example/"

// sheet is a document with these cells in one column after a plain one.
func sheet(cells ...record.Cell) record.Sheet {
	from, to, err := calendar.ParseDay("2026-11-25")
	if err != nil {
		panic(err)
	}
	t := record.Table{Title: "服务发布日常监控记录", Columns: []record.Column{{Title: "序号", Width: 5}, {Title: "服务名称", Width: 20}, {Title: "备注", Width: 10}}}
	for i, c := range cells {
		t.Rows = append(t.Rows, []record.Cell{{Text: fmt.Sprint(i + 1)}, c, {}})
	}
	return record.Sheet{
		Kind: "daily", Title: "服务发布日常监控记录", Number: "FWJK-20261125", Period: record.Period{Name: "2026-11-25", From: from, To: to},
		Head:    []record.Line{{Label: "文档编号", Text: "FWJK-20261125"}, {Label: "审核人", Text: record.ToFill}, {Label: "定义版本", Text: "=cmd|'/c calc'!A1"}},
		Summary: "应监测服务 2 项。", Tables: []record.Table{t},
		Foot:   []record.Line{{Label: "监控人签字"}, {Label: "说明", Text: strings.Repeat("没有数据记未监控。", 20)}},
		Digest: strings.Repeat("0f", 32),
	}
}

func write(t *testing.T, s record.Sheet) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, render.XLSX(&b, s, base))
	return b.Bytes()
}

func read(t *testing.T, b []byte) *excelize.File {
	t.Helper()
	f, err := excelize.OpenReader(bytes.NewReader(b))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return f
}

// The rows of a sheet made by sheet: title, two of the head, summary, columns, cells.
const (
	headRow  = 5
	firstRow = 6
)

func TestReadBack(t *testing.T) {
	f := read(t, write(t, sheet(record.Cell{Text: "门户首页", Link: "/services/pt-01"}, record.Cell{Text: "✕ 异常", Tone: "bad"})))
	name := f.GetSheetName(0)
	require.Equal(t, "服务发布日常监控记录", name)
	require.Equal(t, 1, f.SheetCount)
	rows, err := f.GetRows(name)
	require.NoError(t, err)
	require.Equal(t, "服务发布日常监控记录", rows[0][0])
	require.Equal(t, "文档编号：FWJK-20261125", rows[1][0])
	require.Equal(t, "审核人："+record.ToFill, rows[1][2])
	require.Equal(t, "应监测服务 2 项。", rows[3][0])
	require.Equal(t, []string{"序号", "服务名称", "备注"}, rows[headRow-1])
	require.Equal(t, "门户首页", rows[firstRow-1][1])
	require.Equal(t, "监控人签字：", rows[firstRow+1][0])

	merged, err := f.GetMergeCells(name)
	require.NoError(t, err)
	var ranges []string
	for _, m := range merged {
		ranges = append(ranges, m.GetStartAxis()+":"+m.GetEndAxis())
	}
	require.Subset(t, ranges, []string{"A1:C1", "A2:B2", "A4:C4", "A8:C8", "A9:C9"})

	linked, to, err := f.GetCellHyperLink(name, "B6")
	require.NoError(t, err)
	require.True(t, linked)
	require.Equal(t, "https://gengfu.example/services/pt-01", to)

	width, err := f.GetColWidth(name, "B")
	require.NoError(t, err)
	require.InDelta(t, 20, width, 0.01)

	props, err := f.GetDocProps()
	require.NoError(t, err)
	require.Equal(t, "2026-11-25T16:00:00Z", props.Created)
	require.Equal(t, "FWJK-20261125", props.Identifier)
}

func TestPaper(t *testing.T) {
	f := read(t, write(t, sheet(record.Cell{Text: "门户首页"})))
	name := f.GetSheetName(0)
	layout, err := f.GetPageLayout(name)
	require.NoError(t, err)
	require.Equal(t, "landscape", *layout.Orientation)
	require.Equal(t, 8, *layout.Size, "A3")
	require.Equal(t, 1, *layout.FitToWidth)
	require.Equal(t, 0, *layout.FitToHeight, "as many pages long as it takes")
	props, err := f.GetSheetProps(name)
	require.NoError(t, err)
	require.True(t, *props.FitToPage)
	names := map[string]string{}
	for _, d := range f.GetDefinedName() {
		names[d.Name] = d.RefersTo
	}
	require.Equal(t, "'服务发布日常监控记录'!$5:$5", names["_xlnm.Print_Titles"])
	require.Equal(t, "'服务发布日常监控记录'!$A$1:$C$8", names["_xlnm.Print_Area"])
	panes, err := f.GetPanes(name)
	require.NoError(t, err)
	require.True(t, panes.Freeze)
	require.Equal(t, headRow, panes.YSplit)

	style := func(cell string) *excelize.Style {
		id, err := f.GetCellStyle(name, cell)
		require.NoError(t, err)
		s, err := f.GetStyle(id)
		require.NoError(t, err)
		return s
	}
	require.Len(t, style("B6").Border, 4)
	require.True(t, style("B6").Alignment.WrapText)
	require.True(t, style("B5").Font.Bold)
	height, err := f.GetRowHeight(name, 8)
	require.NoError(t, err)
	require.Greater(t, height, 100.0, "a long foot is not cut")
}

// TestNamesAreInert opens what a hostile name could make of a workbook.
func TestNamesAreInert(t *testing.T) {
	hostile := []string{
		"=1+1", "=HYPERLINK(\"http://evil.example\",\"x\")", "+1", "-1", "@SUM(A1)", "\t=1+1", "\r=1", "'=1", "0012", "1e3", "2026-11-25", "TRUE",
		"<b>&amp;\"'</b>", "行一\n行二", "_x0041_", "𠮷野家", "\x00\x07控制", "\xff坏", strings.Repeat("长", 40_000),
	}
	var cells []record.Cell
	for _, h := range hostile {
		cells = append(cells, record.Cell{Text: h})
	}
	b := write(t, sheet(cells...))
	f := read(t, b)
	name := f.GetSheetName(0)
	for i, h := range hostile {
		cell := fmt.Sprintf("B%d", firstRow+i)
		kind, err := f.GetCellType(name, cell)
		require.NoError(t, err)
		require.Equal(t, excelize.CellTypeSharedString, kind, "%.20q", h)
		formula, err := f.GetCellFormula(name, cell)
		require.NoError(t, err)
		require.Empty(t, formula, "%.20q", h)
		got, err := f.GetCellValue(name, cell)
		require.NoError(t, err)
		switch h {
		case "\x00\x07控制", "\xff坏": // what XML cannot hold is replaced
			require.Contains(t, got, h[len(h)-len("坏"):])
		case hostile[len(hostile)-1]:
			require.Len(t, []rune(got), 32767)
			require.True(t, strings.HasSuffix(got, "…"))
		default:
			require.Equal(t, h, got)
		}
	}
	// And nowhere in the file is a formula.
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	require.NoError(t, err)
	for _, part := range z.File {
		r, err := part.Open()
		require.NoError(t, err)
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		if strings.HasPrefix(part.Name, "xl/worksheets/sheet") {
			require.NotContains(t, string(text), "<f>")
			require.NotContains(t, string(text), "<f ")
		}
	}
}

func TestLinks(t *testing.T) {
	f := read(t, write(t, sheet(
		record.Cell{Text: "a", Link: "https://www.rsj.example/si?a=1&b=2"},
		record.Cell{Text: "b", Link: "javascript:alert(1)"},
		record.Cell{Text: "c", Link: "file:///etc/passwd"},
		record.Cell{Text: "d", Link: "https://www.rsj.example/" + strings.Repeat("x", 3000)},
		record.Cell{Text: "a text of more than one line", Link: "https://www.rsj.example/"}, // would be cut where links do not break
	)))
	for i, want := range []string{"https://www.rsj.example/si?a=1&b=2", "", "", "", ""} {
		linked, to, err := f.GetCellHyperLink(f.GetSheetName(0), fmt.Sprintf("B%d", firstRow+i))
		require.NoError(t, err)
		require.Equal(t, want != "", linked)
		require.Equal(t, want, to)
	}
	var b bytes.Buffer
	require.NoError(t, render.XLSX(&b, sheet(record.Cell{Text: "x", Link: "/services/x"}), ""))
	linked, _, err := read(t, b.Bytes()).GetCellHyperLink("服务发布日常监控记录", "B6")
	require.NoError(t, err)
	require.False(t, linked, "without an address of ours there is nowhere to lead")
}

func TestSameSheetSameBytes(t *testing.T) {
	s := sheet(record.Cell{Text: "门户首页", Link: "/services/pt-01"}, record.Cell{Text: "✕ 异常", Tone: "bad"}, record.Cell{Text: "？", Tone: "warn", Link: "https://x.example/"})
	first := write(t, s)
	for range 10 {
		require.True(t, bytes.Equal(first, write(t, s)))
	}
	z, err := zip.NewReader(bytes.NewReader(first), int64(len(first)))
	require.NoError(t, err)
	for _, part := range z.File {
		require.Less(t, part.Modified.Year(), 2026, "%s tells when it was written", part.Name)
		r, err := part.Open()
		require.NoError(t, err)
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		if part.Name == "docProps/core.xml" {
			require.NotContains(t, string(text), time.Now().UTC().Format("2006-01-02T15"))
		}
	}
}

func TestTables(t *testing.T) {
	s := sheet(record.Cell{Text: "a"})
	second := s.Tables[0]
	second.Rows = nil
	odd := second
	odd.Title = "a/b:c*d?[e]'f" + strings.Repeat("长", 40)
	s.Tables = append(s.Tables, second, odd)
	f := read(t, write(t, s))
	require.Equal(t, []string{"服务发布日常监控记录", "表2", "a_b_c_d__e__f" + strings.Repeat("长", 18)}, f.GetSheetList())
	rows, err := f.GetRows("表2")
	require.NoError(t, err)
	require.Equal(t, []string{"序号", "服务名称", "备注"}, rows[headRow-1], "a table without rows still has its columns")
}

// TestPens puts what is signed and stamped beside each other, with room.
func TestPens(t *testing.T) {
	s := sheet(record.Cell{Text: "a"})
	s.Foot = []record.Line{{Label: "说明", Text: "无"}, {Label: "监控人签字"}, {Label: "单位（盖章）"}, {Label: "日期"}}
	f := read(t, write(t, s))
	name := f.GetSheetName(0)
	rows, err := f.GetRows(name)
	require.NoError(t, err)
	require.Equal(t, []string{"监控人签字：", "单位（盖章）：", "日期："}, rows[firstRow+1])
	require.Len(t, rows, firstRow+2)
	height, err := f.GetRowHeight(name, firstRow+2)
	require.NoError(t, err)
	require.GreaterOrEqual(t, height, 40.0)
	height, err = f.GetRowHeight(name, firstRow+1)
	require.NoError(t, err)
	require.Less(t, height, 40.0)
}

// TestRoom holds that rows are as high as their tallest cell needs, and not much more.
func TestRoom(t *testing.T) {
	for text, want := range map[string]int{
		"":                              1,
		"门户首页":                          1,
		strings.Repeat("字", 14):         2, // a column of twenty takes eleven of them
		"行一\n行二":                        2,
		"http://www.rsj.example/h":      2,
		"word word word word word word": 2,
		strings.Repeat("x", 100):        5,
		"个人办事个人 fifteenoletters sevenly": 3, // words move down as a whole
	} {
		f := read(t, write(t, sheet(record.Cell{Text: text})))
		height, err := f.GetRowHeight(f.GetSheetName(0), firstRow)
		require.NoError(t, err)
		require.InDelta(t, float64(want)*12.24+4, height, 0.01, text)
	}
}

func TestCellsStandInTheMiddleWhereTheyAreShort(t *testing.T) {
	f := read(t, write(t, sheet(record.Cell{Text: "社会保险个人权益记录查询"}, record.Cell{Text: "—"}, record.Cell{Text: record.ToFill})))
	for cell, want := range map[string]string{"A6": "center", "B6": "", "B7": "center", "B8": "center"} {
		id, err := f.GetCellStyle(f.GetSheetName(0), cell)
		require.NoError(t, err)
		s, err := f.GetStyle(id)
		require.NoError(t, err)
		require.Equal(t, want, s.Alignment.Horizontal, cell)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriteFails(t *testing.T) {
	require.ErrorContains(t, render.XLSX(full{}, sheet(), base), "disk full")
}
