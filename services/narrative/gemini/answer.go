package gemini

import (
	"encoding/json"
	"errors"
	"io"
	"strings"

	"google.golang.org/genai"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/narrative"
)

// read is the text of an answer.
func read(answer *genai.GenerateContentResponse) ([]analysis.Claim, *refusal) {
	if answer.PromptFeedback != nil && answer.PromptFeedback.BlockReason != "" {
		return nil, &refusal{outcome: blocked}
	}
	if len(answer.Candidates) == 0 {
		return nil, &refusal{outcome: empty}
	}
	candidate := answer.Candidates[0]
	if why := ended(candidate.FinishReason); why != written {
		return nil, &refusal{outcome: why}
	}
	if candidate.Content == nil {
		return nil, &refusal{outcome: empty}
	}
	var text strings.Builder
	for _, part := range candidate.Content.Parts {
		if part.Thought {
			continue
		}
		text.WriteString(part.Text)
	}
	if text.Len() == 0 {
		return nil, &refusal{outcome: empty}
	}
	claims, err := decode(text.String())
	if err != nil {
		return nil, &refusal{outcome: malformed}
	}
	return claims, nil
}

// decode reads JSON of the schema and nothing else.
func decode(text string) ([]analysis.Claim, error) {
	var said struct {
		Sentences []struct {
			Text  *string   `json:"text"`
			Facts *[]string `json:"facts"`
		} `json:"sentences"`
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&said); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows")
	}
	if n := len(said.Sentences); n == 0 || n > narrative.MaxSentences {
		return nil, errors.New("too few sentences, or too many")
	}
	claims := make([]analysis.Claim, len(said.Sentences))
	for i, s := range said.Sentences {
		if s.Text == nil || s.Facts == nil {
			return nil, errors.New("a sentence is not whole")
		}
		claims[i] = analysis.Claim{Text: *s.Text, Facts: *s.Facts}
	}
	return claims, nil
}
