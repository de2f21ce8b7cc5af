package narrative

import "testing"

func TestFigures(t *testing.T) {
	for text, want := range map[string]string{
		"seven days":                                 "7 days",
		"seven-day week":                             "7-day week",
		"twenty-two minutes":                         "22 minutes",
		"twenty two minutes":                         "22 minutes",
		"seven hours and twelve minutes":             "7 hours and 12 minutes",
		"nine thousand one hundred and twenty steps": "9120 steps",
		"twelve thousand five hundred steps":         "12500 steps",
		"one hundred and five":                       "105",
		"twelve hundred":                             "1200",
		"one hundred thousand":                       "100000",
		"ninety-nine":                                "99",
		"zero steps":                                 "0 steps",
		"twenty":                                     "20",
		"nights and days":                            "nights and days",
		"seven and eight":                            "seven and eight", // two numbers are none
		"seven eight":                                "seven eight",
		"twenty twelve":                              "twenty twelve",
		"hundred steps":                              "hundred steps",
		"thousand steps":                             "thousand steps",
		"two hundred thousand hundred":               "two hundred thousand hundred",
		"one thousand two thousand":                  "one thousand two thousand",
		"twenty zero":                                "twenty zero",
		"five and twenty":                            "five and twenty",
		"twofold":                                    "twofold",
		"this one":                                   "        ",
		"a week earlier":                             "a week before ",
		"earlier":                                    "earlier",
	} {
		if got := figures(text); got != want {
			t.Errorf("figures(%q) = %q, want %q", text, got, want)
		}
	}
}
