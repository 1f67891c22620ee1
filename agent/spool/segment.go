package spool

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A record on disk is a magic number, the payload's length, a CRC-32C and the
// payload. The checksum covers where the record stands, so that bytes of a
// payload that look like a record are never taken for one.
const (
	headerSize = 12
	maxRecord  = 4 << 20 // payload
)

var (
	magic      = []byte("GFS1")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

func checksum(segment uint64, off int64, payload []byte) uint32 {
	var place [20]byte
	binary.LittleEndian.PutUint64(place[0:], segment)
	binary.LittleEndian.PutUint64(place[8:], uint64(off))
	binary.LittleEndian.PutUint32(place[16:], uint32(len(payload)))
	return crc32.Update(crc32.Checksum(place[:], castagnoli), castagnoli, payload)
}

func frame(segment uint64, off int64, payload []byte) []byte {
	b := make([]byte, headerSize, headerSize+len(payload))
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[8:], checksum(segment, off, payload))
	return append(b, payload...)
}

// unframe reads the record at the start of b, which stands at off.
func unframe(segment uint64, off int64, b []byte) (payload []byte, ok bool) {
	if len(b) < headerSize || !bytes.Equal(b[:4], magic) {
		return nil, false
	}
	n := int64(binary.LittleEndian.Uint32(b[4:]))
	if n > maxRecord || n > int64(len(b)-headerSize) {
		return nil, false
	}
	payload = b[headerSize : headerSize+n]
	return payload, binary.LittleEndian.Uint32(b[8:]) == checksum(segment, off, payload)
}

// record is where one record stands in its segment, header included.
type record struct {
	off, size int64
	damaged   bool // found unreadable, and counted
}

// segment is one file of records, named by its number.
type segment struct {
	id   uint64
	path string
	size int64
	base uint64 // sequence number of the first record
	recs []record
}

func (s *segment) end() uint64 { return s.base + uint64(len(s.recs)) }

func segmentPath(dir string, id uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d.log", id))
}

func segmentID(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, ".log")
	if !ok || len(digits) != 20 {
		return 0, false
	}
	id, err := strconv.ParseUint(digits, 10, 64)
	return id, err == nil
}

// scan finds the records of a segment. A damaged one is passed over and counted;
// when nothing whole follows it in the newest segment it is the torn end of a
// write that nobody was told had succeeded, and is cut off.
func scan(path string, id uint64, newest bool) (s *segment, corrupt int, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, 0, fmt.Errorf("reading spool segment: %w", err)
	}
	s = &segment{id: id, path: path, size: int64(len(data))}
	for off := 0; off < len(data); {
		payload, ok := unframe(id, int64(off), data[off:])
		if ok {
			size := headerSize + len(payload)
			s.recs = append(s.recs, record{off: int64(off), size: int64(size)})
			off += size
			continue
		}
		next := nextRecord(id, data, off+1)
		if next < 0 && newest {
			if err := os.Truncate(path, int64(off)); err != nil {
				return nil, corrupt, fmt.Errorf("cutting the torn end off a spool segment: %w", err)
			}
			s.size = int64(off)
			return s, corrupt, nil
		}
		corrupt++
		if next < 0 {
			break
		}
		off = next
	}
	return s, corrupt, nil
}

// nextRecord is the offset of the first whole record at or after from, or -1.
func nextRecord(id uint64, data []byte, from int) int {
	for from < len(data) {
		i := bytes.Index(data[from:], magic)
		if i < 0 {
			return -1
		}
		from += i
		if _, ok := unframe(id, int64(from), data[from:]); ok {
			return from
		}
		from++
	}
	return -1
}
