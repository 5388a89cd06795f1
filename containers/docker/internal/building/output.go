package building

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// lastLines is how much of what was said stands in an error.
const lastLines = 12

// line is one object of the answer to a build.
type line struct {
	ID     string          `json:"id"`
	Stream string          `json:"stream"`
	Status string          `json:"status"`
	Error  string          `json:"error"`
	Aux    json.RawMessage `json:"aux"`
}

// Read reads the answer to a build to its end; the error in it is returned,
// behind the last lines of what the build printed. tell, unless nil, is told
// each line.
func Read(body io.Reader, tell func(string)) error {
	var said []string
	say := func(text string) {
		for part := range strings.SplitSeq(text, "\n") {
			part = strings.TrimSpace(part)
			if part == "" || strings.HasPrefix(part, "--->") {
				continue
			}
			if said = append(said, part); len(said) > lastLines {
				said = said[1:]
			}
			if tell != nil {
				tell(part)
			}
		}
	}
	decoder := json.NewDecoder(body)
	for {
		var next line
		err := decoder.Decode(&next)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case next.Error != "":
			if len(said) > 0 {
				return fmt.Errorf("%s\n%s", next.Error, strings.Join(said, "\n"))
			}
			return errors.New(next.Error)
		case next.ID == "moby.buildkit.trace":
			var record []byte
			if json.Unmarshal(next.Aux, &record) == nil {
				trace(record, say)
			}
		default:
			say(next.Stream + next.Status)
		}
	}
}

// The fields of BuildKit's messages that people read.
// Source: moby/buildkit api/services/control/control.proto.
const (
	statusVertexes  = 1
	statusLogs      = 3
	vertexName      = 3
	vertexStarted   = 5
	vertexCompleted = 6
	logMessage      = 4
)

// trace reads one of BuildKit's records: the steps that begin, and what they print.
func trace(record []byte, say func(string)) {
	fields(record, func(number uint64, value []byte) {
		switch number {
		case statusVertexes:
			var name string
			var started, completed bool
			fields(value, func(number uint64, value []byte) {
				switch number {
				case vertexName:
					name = string(value)
				case vertexStarted:
					started = true
				case vertexCompleted:
					completed = true
				}
			})
			if started && !completed && !strings.HasPrefix(name, "[internal]") {
				say(name)
			}
		case statusLogs:
			fields(value, func(number uint64, value []byte) {
				if number == logMessage {
					say(string(value))
				}
			})
		}
	})
}

// fields calls each for the message's fields that have a length: texts and
// messages. It ends where the message is broken. Source: the encoding of Protocol Buffers.
func fields(message []byte, each func(number uint64, value []byte)) {
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		if n <= 0 {
			return
		}
		message = message[n:]
		length := uint64(0)
		switch tag & 7 {
		case 0: // a number
			if _, n = binary.Uvarint(message); n <= 0 {
				return
			}
			length = uint64(n)
		case 1:
			length = 8
		case 2:
			if length, n = binary.Uvarint(message); n <= 0 {
				return
			}
			message = message[n:]
		case 5:
			length = 4
		default:
			return
		}
		if length > uint64(len(message)) {
			return
		}
		if tag&7 == 2 {
			each(tag>>3, message[:length])
		}
		message = message[length:]
	}
}
