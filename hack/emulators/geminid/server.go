package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"sync"
	"time"
)

// An act is what the next requests meet.
type act struct {
	Mode  string `json:"mode"`
	Times int    `json:"times"` // 0 is once, or for good where it is the last
}

// A call is a request as it came.
type call struct {
	Path string          `json:"path"`
	Body json.RawMessage `json:"body"`
}

const (
	kept       = 1000
	maxRequest = 4 << 20
)

// server answers as generateContent does.
type server struct {
	drip time.Duration // between the bytes of a slow answer

	mu     sync.Mutex
	script []act
	calls  []call
}

// modes are what can be played. The answer is a finish reason and a text; a
// status other than 200 is an error in the service's form.
var modes = map[string]func(prompt string) answer{
	"ok":         func(prompt string) answer { return answer{finish: "STOP", text: words(prompt, "")} },
	"429":        func(string) answer { return answer{status: http.StatusTooManyRequests, text: "RESOURCE_EXHAUSTED"} },
	"500":        func(string) answer { return answer{status: http.StatusInternalServerError, text: "INTERNAL"} },
	"safety":     func(string) answer { return answer{finish: "SAFETY"} },
	"recitation": func(string) answer { return answer{finish: "RECITATION"} },
	"max-tokens": func(prompt string) answer {
		all := words(prompt, "")
		return answer{finish: "MAX_TOKENS", text: all[:len(all)/2]}
	},
	"malformed": func(string) answer { return answer{finish: "STOP", text: "Here is the JSON you asked for: {"} },
	"schema":    func(string) answer { return answer{finish: "STOP", text: `{"story": 7}`} },
	"invented": func(prompt string) answer {
		return answer{finish: "STOP", text: words(prompt, " That is 98765 more than anybody has.")}
	},
	"slow": func(prompt string) answer { return answer{finish: "STOP", text: words(prompt, ""), slow: true} },
}

type answer struct {
	status       int
	finish, text string
	slow         bool
}

// play has the acts be what comes next.
func (s *server) play(script []act) error {
	if len(script) == 0 {
		return fmt.Errorf("a script has an act")
	}
	for _, a := range script {
		if modes[a.Mode] == nil {
			return fmt.Errorf("there is no mode %q", a.Mode)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = script
	return nil
}

// next is the mode of the act whose turn it is; what was asked is kept.
func (s *server) next(c call) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, c)
	s.calls = s.calls[max(0, len(s.calls)-kept):]
	mode := s.script[0].Mode
	if s.script[0].Times--; s.script[0].Times <= 0 && len(s.script) > 1 {
		s.script = s.script[1:]
	}
	return mode
}

var generate = regexp.MustCompile(`/models/[^/:]+:(generateContent|streamGenerateContent)$`)

// ServeHTTP answers.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
	verb := generate.FindStringSubmatch(r.URL.Path)
	switch {
	case err != nil:
		return
	case r.URL.Path == "/script" && r.Method == http.MethodPut:
		var script []act
		if err = json.Unmarshal(body, &script); err == nil {
			err = s.play(script)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	case r.URL.Path == "/requests" && r.Method == http.MethodGet:
		s.mu.Lock()
		calls := s.calls
		s.mu.Unlock()
		_ = json.NewEncoder(w).Encode(calls) // who asked may be gone
	case verb == nil || r.Method != http.MethodPost:
		problem(w, http.StatusNotFound, "NOT_FOUND")
	default:
		s.generate(w, r, verb[1] == "streamGenerateContent", body)
	}
}

func problem(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": status, "message": "as the script says", "status": code}})
}

// generate answers one request.
func (s *server) generate(w http.ResponseWriter, r *http.Request, streams bool, body []byte) {
	prompt, err := promptOf(body)
	if err != nil {
		problem(w, http.StatusBadRequest, "INVALID_ARGUMENT")
		return
	}
	a := modes[s.next(call{r.URL.Path, body})](prompt)
	if a.status != 0 {
		problem(w, a.status, a.text)
		return
	}
	candidate := map[string]any{"index": 0, "finishReason": a.finish}
	if a.text != "" {
		candidate["content"] = map[string]any{"role": "model", "parts": []any{map[string]string{"text": a.text}}}
	}
	tokens := func(text string) int { return len(text)/4 + 1 }
	text, err := json.Marshal(map[string]any{
		"candidates": []any{candidate}, "modelVersion": "geminid",
		"usageMetadata": map[string]int{"promptTokenCount": tokens(prompt), "candidatesTokenCount": tokens(a.text), "totalTokenCount": tokens(prompt) + tokens(a.text)},
	})
	if err != nil {
		problem(w, http.StatusInternalServerError, "INTERNAL")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if streams {
		w.Header().Set("Content-Type", "text/event-stream")
		text = append(append([]byte("data: "), text...), "\n\n"...)
	}
	if a.slow {
		s.drop(w, r, text)
		return
	}
	_, _ = w.Write(text) // who asked may be gone
}

// drop sends the text a byte at a time, for as long as somebody waits.
func (s *server) drop(w http.ResponseWriter, r *http.Request, text []byte) {
	out := http.NewResponseController(w)
	for _, b := range text {
		if _, err := w.Write([]byte{b}); err != nil || out.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(s.drip):
		}
	}
}
