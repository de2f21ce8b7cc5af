package gemini

// Base is base.
func (c Config) Base() string { return c.base() }

// Prompt is the system instruction, with its version.
func Prompt() (version, text string) { return promptVersion, prompt }
