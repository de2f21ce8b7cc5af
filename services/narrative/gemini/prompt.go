package gemini

import (
	_ "embed" // the prompt is a file
	"encoding/json"
	"fmt"

	"google.golang.org/genai"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/narrative"
)

// promptVersion names the prompt that is asked with, which is part of the writer's
// name: another text of the prompt is another version and another file.
const promptVersion = "1"

//go:embed prompts/1.txt
var prompt string

// A telling is a fact as the model is given it: the name, the words and the number, and
// nothing of whose it is.
type telling struct {
	ID        string `json:"id"`
	What      string `json:"what"`
	Say       string `json:"say"`
	Direction string `json:"direction,omitempty"`
}

// question is the facts as the model is given them. They are Known ones.
func question(facts []analysis.Fact) (string, error) {
	list := make([]telling, len(facts))
	for i, f := range facts {
		list[i] = telling{ID: f.ID, What: f.Label, Say: f.Text, Direction: narrative.Direction(f)}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return "", fmt.Errorf("encode the facts: %w", err)
	}
	return string(text), nil
}

// settings are the model's: the same for every question, but for the ids that an
// answer may cite.
func settings(facts []analysis.Fact) *genai.GenerateContentConfig {
	return &genai.GenerateContentConfig{
		SystemInstruction:  genai.NewContentFromText(prompt, genai.RoleUser),
		Temperature:        genai.Ptr[float32](0),
		Seed:               genai.Ptr[int32](1),
		CandidateCount:     1,
		MaxOutputTokens:    maxOutputTokens,
		ResponseMIMEType:   "application/json",
		ResponseJsonSchema: schema(facts),
		ThinkingConfig:     &genai.ThinkingConfig{ThinkingLevel: genai.ThinkingLevelMinimal},
		SafetySettings:     safety(),
	}
}

// maxOutputTokens is room for five sentences with their citations.
const maxOutputTokens = 1024

// schema is the form of an answer, in JSON Schema.
func schema(facts []analysis.Fact) map[string]any {
	ids := make([]string, len(facts))
	for i, f := range facts {
		ids[i] = f.ID
	}
	object := func(properties map[string]any, required ...string) map[string]any {
		return map[string]any{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
	}
	sentence := object(map[string]any{
		"text":  map[string]any{"type": "string"},
		"facts": map[string]any{"type": "array", "items": map[string]any{"type": "string", "enum": ids}},
	}, "text", "facts")
	return object(map[string]any{
		"sentences": map[string]any{"type": "array", "items": sentence, "minItems": 1, "maxItems": narrative.MaxSentences},
	}, "sentences")
}

// safety blocks what is medium and above in every category, whatever the model's
// defaults are.
func safety() []*genai.SafetySetting {
	var all []*genai.SafetySetting
	for _, c := range []genai.HarmCategory{genai.HarmCategoryHarassment, genai.HarmCategoryHateSpeech,
		genai.HarmCategorySexuallyExplicit, genai.HarmCategoryDangerousContent} {
		all = append(all, &genai.SafetySetting{Category: c, Threshold: genai.HarmBlockThresholdBlockMediumAndAbove})
	}
	return all
}
