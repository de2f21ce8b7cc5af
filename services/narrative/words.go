package narrative

import (
	"errors"
	"strings"

	"github.com/clarity-loop/clarity/services/analysis"
)

// direction is +1 for a word that says more, -1 for one that says less, 0 for others.
func direction(word string) int {
	switch word {
	case "more", "higher", "longer", "later", "increased", "increase", "increasing", "rose", "risen", "rising", "grew", "above", "gained", "faster":
		return 1
	case "less", "fewer", "lower", "shorter", "earlier", "decreased", "decrease", "decreasing", "fell", "fallen", "falling", "dropped", "drop", "below", "lost", "slower", "reduced":
		return -1
	}
	return 0
}

// judging says better or worse, which no fact does.
func judging(word string) bool {
	switch word {
	case "better", "worse", "improved", "improve", "improving", "improvement", "worsened", "worsening", "deteriorated", "healthier", "unhealthier":
		return true
	}
	return false
}

// checkDirection holds words of direction against the changes that are cited.
func checkDirection(text string, cited []analysis.Fact) error {
	words := wordPattern.FindAllString(strings.ToLower(text), -1)
	for i, word := range words {
		if i+1 < len(words) && words[i+1] == "asleep" { // fell asleep, falling asleep
			continue
		}
		if judging(word) {
			return errors.New("it judges where the facts only compare")
		}
		d := direction(word)
		if d == 0 {
			continue
		}
		agrees := false
		for _, f := range cited {
			if strings.HasPrefix(f.ID, changePrefix) && f.Value*float64(d) > 0 {
				agrees = true
			}
		}
		if !agrees {
			return errors.New("it tells a direction that no cited change has")
		}
	}
	return nil
}

// medical are beginnings of words that belong to a clinic: conditions, drugs,
// doses, cures. A text about a week's numbers needs none of them.
func medical() []string {
	return []string{
		"diagnos", "disease", "disorder", "syndrome", "symptom", "patholog", "prognos", "clinical", "medical", "illness", "sick",
		"insomnia", "apnea", "apnoea", "narcoleps", "parasomnia", "arrhythm", "fibrillat", "afib", "tachycard", "bradycard", "hypertens", "hypotens",
		"infarct", "stroke", "ischem", "ischaem", "cardiomyo", "angina", "embol", "thromb", "heart attack", "heart failure", "cardiac arrest",
		"diabet", "hypogly", "hypergly", "cancer", "tumor", "tumour", "dementia", "alzheimer", "parkinson", "epilep", "seizure", "covid", "infect", "fever", "pneumon", "asthma", "copd",
		"depress", "anxiety", "bipolar", "schizo", "adhd", "autis", "ptsd", "burnout", "psychos", "psychiatr", "anorex", "bulimi", "suicid", "addict", "alcoholi", "obes",
		"hypox", "anemi", "anaemi", "thyroid", "pregnan", "menopaus",
		"drug", "medicat", "medicine", "tablet", "capsule", "dose", "dosage", "dosing", "milligram", "mcg", "prescri", "pharma", "antibiot", "antidepress",
		"melatonin", "benzodiaz", "zolpidem", "ambien", "xanax", "valium", "ssri", "sertralin", "prozac", "opioid", "ibuprofen", "aspirin", "paracetamol", "acetaminophen",
		"beta blocker", "beta-blocker", "statin", "insulin", "metformin", "warfarin", "steroid", "supplement", "caffeine pill", "cbd", "cannabi", "magnesium", "valerian",
		"cure", "curing", "remedy", "remedies", "therap", "treat", "surger", "inject", "vaccin", "rehab",
		"doctor", "physician", "hospital", "emergency", "ambulance", "cardiolog", "neurolog",
		"risk of", "at risk", "you have ", "you may have", "you might have", "you suffer", "suffering from", "sign of", "signs of", "indicates that", "caused by", "because of your",
		"you should take", "stop taking", "start taking", "abnormal", "dangerous", "life-threatening", "critical", "death", "mortal",
	}
}

// medicalWord is a whole word of the same kind that begins harmless ones.
func medicalWord(word string) bool {
	switch word {
	case "flu", "pill", "pills", "mg", "heal", "heals", "healed", "die", "dies", "dying":
		return true
	}
	return false
}

// checkMedical refuses what sounds like a diagnosis or a treatment.
func checkMedical(text string) error {
	refusal := errors.New("it speaks of a condition, a drug or a treatment")
	padded := " " + strings.ToLower(text) + " "
	for _, word := range wordPattern.FindAllString(padded, -1) {
		if medicalWord(word) {
			return refusal
		}
	}
	for _, term := range medical() {
		for from := 0; ; {
			at := strings.Index(padded[from:], term)
			if at < 0 {
				break
			}
			at += from
			if before := padded[at-1]; before < 'a' || before > 'z' {
				return refusal
			}
			from = at + 1
		}
	}
	return nil
}
