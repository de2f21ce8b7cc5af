package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const ask = `{"systemInstruction":{"parts":[{"text":"Say [{}] what there is."}]},"contents":[{"role":"user","parts":[{"text":"[{\"id\":\"activity.steps_per_day\",\"what\":\"steps a day\",\"say\":\"9,120\"}]"}]}]}`

const path = "/v1beta1/projects/demo-clarity/locations/europe-west3/publishers/google/models/gemini-3.5-flash-lite:"

func post(t *testing.T, url string) (status int, body string) {
	t.Helper()
	res, err := http.Post(url, "application/json", strings.NewReader(ask))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func play(t *testing.T, url, script string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+"/script", strings.NewReader(script))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// Each mode is what it is called, and a script goes through them in turn.
func TestTheModes(t *testing.T) {
	server := httptest.NewServer(&server{drip: time.Millisecond})
	defer server.Close()
	if code := play(t, server.URL, `[{"mode":"429","times":2},{"mode":"500"},{"mode":"safety"},{"mode":"recitation"},{"mode":"max-tokens"},{"mode":"malformed"},{"mode":"schema"},{"mode":"invented"},{"mode":"slow"},{"mode":"ok"}]`); code != http.StatusOK {
		t.Fatalf("the script: %d", code)
	}
	for i, want := range []struct {
		status       int
		finish, text string
	}{
		{429, "", ""}, {429, "", ""}, {500, "", ""}, {200, "SAFETY", ""}, {200, "RECITATION", ""}, {200, "MAX_TOKENS", `{"sentences":`},
		{200, "STOP", "Here is the JSON"}, {200, "STOP", `{"story": 7}`}, {200, "STOP", "98765"}, {200, "STOP", "You walked 9,120 steps a day."},
		{200, "STOP", "You walked 9,120 steps a day."}, {200, "STOP", "You walked 9,120 steps a day."},
	} {
		status, body := post(t, server.URL+path+"generateContent")
		var answer struct {
			Candidates []struct {
				FinishReason string
				Content      struct{ Parts []struct{ Text string } }
			}
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil || status != want.status {
			t.Errorf("answer %d: %d %s, %v", i, status, body, err)
			continue
		}
		if status != http.StatusOK {
			continue
		}
		text := ""
		for _, p := range answer.Candidates[0].Content.Parts {
			text += p.Text
		}
		if answer.Candidates[0].FinishReason != want.finish || !strings.Contains(text, want.text) {
			t.Errorf("answer %d is %s %q, want %s %q", i, answer.Candidates[0].FinishReason, text, want.finish, want.text)
		}
		if valid := json.Valid([]byte(text)); want.finish == "MAX_TOKENS" && valid {
			t.Errorf("what is cut is whole: %s", text)
		}
	}
}

func TestWhatCameIsShown(t *testing.T) {
	s := &server{}
	if err := s.play([]act{{Mode: "ok"}}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	defer server.Close()
	if _, body := post(t, server.URL+path+"streamGenerateContent?alt=sse"); !strings.HasPrefix(body, "data: {") || !strings.HasSuffix(body, "\n\n") {
		t.Errorf("a stream is %q", body)
	}
	res, err := http.Get(server.URL + "/requests")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var calls []call
	if err := json.NewDecoder(res.Body).Decode(&calls); err != nil || len(calls) != 1 || calls[0].Path != path+"streamGenerateContent" || string(calls[0].Body) != ask {
		t.Errorf("it shows %+v, %v", calls, err)
	}
	if status, _ := post(t, server.URL+"/v1/models/x:countTokens"); status != http.StatusNotFound {
		t.Errorf("another method: %d", status)
	}
	for _, script := range []string{`[]`, `[{"mode":"dance"}]`, `{`} {
		if code := play(t, server.URL, script); code != http.StatusBadRequest {
			t.Errorf("the script %s: %d", script, code)
		}
	}
}

// Who does not wait for a slow answer is not waited for.
func TestASlowAnswerEndsWithWhoAsked(t *testing.T) {
	s := &server{drip: time.Minute}
	if err := s.play([]act{{Mode: "slow"}}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	defer server.Close() // which waits for the request
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+path+"generateContent", strings.NewReader(ask))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("all of it came")
	}
}
