package httpprobe

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime"
	"mime/multipart"
	"net/textproto"
	"strings"
)

// formPart is one part of a multipart body: a field, or a file whose content
// stands in the definition.
type formPart struct {
	Name   string `yaml:"name" doc:"the field's name" zh:"字段名"`
	Value  string `yaml:"value" doc:"its value, or the file's content as text" zh:"字段值，或文本文件的内容"`
	Base64 string `yaml:"base64" doc:"the file's content in base64, in place of value" zh:"文件内容的 base64，代替 value"`
	File   string `yaml:"file" doc:"the file's name; makes the part a file" zh:"文件名，写了即作为文件上传"`
	Type   string `yaml:"type" doc:"the part's Content-Type" zh:"该部分的 Content-Type"`
}

// piece is one part of a multipart body, checked.
type piece struct {
	header textproto.MIMEHeader
	value  template
	data   []byte // in place of value
}

var quoter = strings.NewReplacer("\\", "\\\\", `"`, "%22", "\r", "%0D", "\n", "%0A")

func (c *checker) multipart(key string, list []formPart, note func(template) template) []piece {
	var out []piece
	for i, p := range list {
		at := fmt.Sprintf("%s[%d]", key, i)
		if p.Name == "" {
			c.mistake(at, "want the field's name, got none; write name: file")
		}
		if p.Value != "" && p.Base64 != "" {
			c.mistake(at, "want one of value and base64, got both; keep one")
		}
		data, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(p.Base64), ""))
		if err != nil {
			c.mistake(at+".base64", "want base64 (RFC 4648), got %v", err)
		}
		if _, _, err := mime.ParseMediaType(p.Type); p.Type != "" && err != nil {
			c.mistake(at+".type", "want a media type such as image/png, got %q", p.Type)
		}
		disposition := `form-data; name="` + quoter.Replace(p.Name) + `"`
		kind := p.Type
		if p.File != "" {
			disposition += `; filename="` + quoter.Replace(p.File) + `"`
			if kind == "" {
				kind = "application/octet-stream"
			}
		}
		e := piece{header: textproto.MIMEHeader{"Content-Disposition": {disposition}}, value: note(c.template(at+".value", p.Value))}
		if kind != "" {
			e.header.Set("Content-Type", kind)
		}
		if p.Base64 != "" {
			e.data = data
		}
		out = append(out, e)
	}
	return out
}

func writeParts(parts []piece, v *values) ([]byte, string, error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		to, err := w.CreatePart(p.header)
		if err != nil {
			return nil, "", fmt.Errorf("writing a part of request.multipart: %w", err)
		}
		data := p.data
		if data == nil {
			data = []byte(p.value.fill(v, nil))
		}
		if _, err := to.Write(data); err != nil {
			return nil, "", fmt.Errorf("writing a part of request.multipart: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, "", fmt.Errorf("writing request.multipart: %w", err)
	}
	return b.Bytes(), w.FormDataContentType(), nil
}
