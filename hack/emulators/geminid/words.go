package main

import (
	"encoding/json"
	"strings"
)

// promptOf is all that the request has the model read, in order.
func promptOf(body []byte) (string, error) {
	type content struct {
		Parts []struct{ Text string }
	}
	var ask struct {
		SystemInstruction content
		Contents          []content
	}
	if err := json.Unmarshal(body, &ask); err != nil {
		return "", err
	}
	var all []string
	for _, c := range append([]content{ask.SystemInstruction}, ask.Contents...) {
		for _, p := range c.Parts {
			all = append(all, p.Text)
		}
	}
	return strings.Join(all, "\n"), nil
}

// A fact is one as the prompt lists them.
type fact struct{ ID, What, Say string }

// facts are those of the first list in the prompt that is one.
func facts(prompt string) []fact {
	for at, rest := 0, prompt; ; {
		next := strings.Index(rest[at:], "[{")
		if next < 0 {
			return nil
		}
		at += next
		var all []fact
		if err := json.NewDecoder(strings.NewReader(rest[at:])).Decode(&all); err == nil && len(all) > 0 && all[0].ID != "" {
			return all
		}
		at++
	}
}

// lines are what is said of a fact, in their order; the others are left out.
var lines = []struct{ id, text string }{
	{"sleep.total_sleep_time_minutes", "You slept %s a night."},
	{"sleep.midpoint_minutes", "The middle of your sleep was at %s."},
	{"activity.steps_per_day", "You walked %s steps a day."},
	{"cardio.resting_heart_rate_bpm", "Your resting heart rate was %s beats a minute."},
	{"cardio.respiratory_rate_per_minute", "You breathed %s times a minute in your sleep."},
}

type sentence struct {
	Text  string   `json:"text"`
	Facts []string `json:"facts"`
}

// words are an answer in the prompt's schema that says facts alone, and then what else is
// to be said.
func words(prompt, more string) string {
	say := map[string]string{}
	all := facts(prompt)
	for _, f := range all {
		say[f.ID] = f.Say
	}
	var said []sentence
	for _, l := range lines {
		if number, there := say[l.id]; there {
			said = append(said, sentence{strings.Replace(l.text, "%s", number, 1), []string{l.id}})
		}
	}
	if len(said) == 0 && len(all) > 0 {
		said = []sentence{{"Your " + all[0].What + ": " + all[0].Say + ".", []string{all[0].ID}}}
	}
	if len(said) == 0 {
		said = []sentence{{"You sent no facts.", []string{}}}
	}
	said[0].Text += more
	text, err := json.Marshal(map[string]any{"sentences": said})
	if err != nil {
		return ""
	}
	return string(text)
}
