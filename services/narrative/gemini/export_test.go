package gemini

import "github.com/clarity-loop/clarity/services/analysis"

// Decode is decode.
func Decode(text string) ([]analysis.Claim, error) { return decode(text) }

// Base is base.
func (c Config) Base() string { return c.base() }

// Prompt is the system instruction, with its version.
func Prompt() (version, text string) { return promptVersion, prompt }
