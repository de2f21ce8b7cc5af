package narrative

import (
	"errors"
	"strings"
)

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
		"risk of", "at risk", "you may have", "you might have", "you suffer", "suffering from", "sign of", "signs of", "indicates that", "caused by", "because of your",
		"you should take", "keep taking", "burning out", "burned out", "burnt out", "burn out", "stop taking", "start taking", "abnormal", "dangerous", "life-threatening", "critical", "death", "mortal",
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
	padded := " " + text + " "
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
