package account

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/exported"
)

// RangeNotSatisfiable is the code of a range behind the end.
const RangeNotSatisfiable problem.Code = "416 range_not_satisfiable"

const downloadDetail = `NDJSON, a line a record: {"kind", "key", "value"}, kind being profile, consent, upload, cursor, day, sample, series,
deletion, held, result, insight, event or export. The samples and series of a day follow its day line; held are those of uploads that are in no day yet. The
last line is {"kind": "end", "lines": n}. The reply has its Content-Length, a strong ETag and takes one Range: a download that was cut
off goes on with Range and If-Range. An export that is pending is 409 export_pending, with Retry-After.`

type downloadInput struct {
	ExportID    string `path:"exportId" minLength:"32" maxLength:"32" pattern:"^[0-9a-f]{32}$" example:"0123456789abcdef0123456789abcdef"`
	Range       string `header:"Range" doc:"one range of bytes; others are ignored" example:"bytes=1048576-"`
	IfRange     string `header:"If-Range" doc:"the ETag that the range is of; with another the whole is sent"`
	IfNoneMatch string `header:"If-None-Match" doc:"an ETag that is there already: 304"`
}

// downloadExport serves the export's object: all of it that was asked for, or an
// error; where a part of it cannot be read any more the connection breaks.
func (r *Room) downloadExport(ctx context.Context, in *downloadInput) (*reply.BodyOutput, error) {
	uid := reply.UID(ctx)
	found, err := r.export(ctx, in.ExportID)
	if err != nil {
		return nil, err
	}
	e := found.Value
	switch {
	case e.Slot == 0, e.State == exported.Failed:
		return nil, problem.New(ExportFailed, "the export is not complete and will not be: ask for another")
	case e.State != exported.Ready:
		return nil, problem.New(ExportPending, "the export is being made; the event export.ready says when it can be downloaded").With("Retry-After", "2")
	}
	tag := `"` + e.Digest + `"`
	headers := map[string]string{"Content-Type": reply.NDJSON, "ETag": tag, "Accept-Ranges": "bytes"}
	if matches(in.IfNoneMatch, tag) {
		return &reply.BodyOutput{Body: func(hc huma.Context) {
			hc.SetHeader("ETag", tag)
			hc.SetStatus(304)
		}}, nil
	}
	status, from, to := 200, 0, e.Bytes
	if in.Range != "" && (in.IfRange == "" || in.IfRange == tag) {
		first, last, ok := rangeOf(in.Range, e.Bytes)
		switch {
		case ok && first >= e.Bytes:
			return nil, problem.New(RangeNotSatisfiable, "the range begins behind the end").With("Content-Range", fmt.Sprintf("bytes */%d", e.Bytes))
		case ok:
			status, from, to = 206, first, last+1
			headers["Content-Range"] = fmt.Sprintf("bytes %d-%d/%d", first, last, e.Bytes)
		}
	}
	return r.stream(ctx, uid, e, status, headers, from, to)
}

// stream sends the bytes from one to before the other, the first of which are read
// before the reply begins.
func (r *Room) stream(ctx context.Context, uid string, e record.Export, status int, headers map[string]string, from, to int) (*reply.BodyOutput, error) {
	release, err := r.Places.Take(uid)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.StreamLifetime)
	end := func() { cancel(); release() }
	parts := &partReader{room: r, ctx: ctx, uid: uid, parts: e.Parts, skip: from, left: to - from}
	if err := parts.fill(); err != nil {
		end()
		return nil, err
	}
	return r.Streams.Sized(status, headers, to-from, parts, end), nil
}

// matches says whether the header names the tag.
func matches(header, tag string) bool {
	for known := range strings.SplitSeq(header, ",") {
		if known = strings.TrimSpace(known); known == "*" || strings.TrimPrefix(known, "W/") == tag {
			return true
		}
	}
	return false
}

// rangeOf is the first and the last byte that are asked for of so many; ok is false
// where the header is to be ignored. The last is none where the first is behind the end.
func rangeOf(header string, size int) (first, last int, ok bool) {
	spec, bytes := strings.CutPrefix(header, "bytes=")
	from, to, dash := strings.Cut(strings.TrimSpace(spec), "-")
	if !bytes || !dash || strings.Contains(to, ",") {
		return 0, 0, false
	}
	number := func(text string) (int, bool) {
		n, err := strconv.ParseUint(text, 10, 48)
		return int(n), err == nil //nolint:gosec // 48 bits
	}
	if from == "" { // the last so many
		n, is := number(to)
		if n == 0 {
			return size, size, is
		}
		return max(0, size-n), size - 1, is
	}
	first, ok = number(from)
	last = size - 1
	if to != "" && ok {
		if last, ok = number(to); last < first {
			return 0, 0, false
		}
	}
	return first, min(last, size-1), ok
}

// A partReader reads an export's bytes, a part in memory at a time.
type partReader struct {
	room  *Room
	ctx   context.Context
	uid   string
	parts []exported.Part
	skip  int // bytes before the first that is wanted
	left  int // bytes that are wanted
	lines []byte
}

// Read is io.Reader's. A part that cannot be read is an error of the whole reply.
func (p *partReader) Read(to []byte) (int, error) {
	if err := p.fill(); err != nil {
		p.room.Failures.Tell(p.ctx, "export download ended early", err)
		return 0, err
	}
	if p.left == 0 {
		return 0, io.EOF
	}
	n := copy(to, p.lines)
	p.lines, p.left = p.lines[n:], p.left-n
	return n, nil
}

// fill reads the next part, where there is nothing of the last.
func (p *partReader) fill() error {
	for len(p.lines) == 0 && p.left > 0 {
		if len(p.parts) == 0 {
			return fmt.Errorf("read an export: %w", io.ErrUnexpectedEOF)
		}
		part := p.parts[0]
		if p.parts = p.parts[1:]; p.skip >= part.Bytes {
			p.skip -= part.Bytes
			continue
		}
		packed, err := p.room.Objects.Get(p.ctx, p.uid, part.Object)
		if err != nil {
			return fmt.Errorf("read an export: %w", err)
		}
		lines, err := part.Unpack(packed)
		if err != nil {
			return fmt.Errorf("read an export: %w", err)
		}
		p.lines = lines[p.skip:min(len(lines), p.skip+p.left)]
		p.skip = 0
	}
	return nil
}
