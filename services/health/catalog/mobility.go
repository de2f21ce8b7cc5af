package catalog

// mobilityTypes: gait, balance, hearing and surroundings.
func mobilityTypes() []quantityRow {
	return []quantityRow{
		{name: "WalkingSpeed", display: "Walking Speed", units: speeds, unit: "m/s", how: Discrete, min: 0.01, max: 15},
		{name: "WalkingStepLength", display: "Walking Step Length", units: lengths, unit: "m", how: Discrete, min: 0.01, max: 5},
		{name: "WalkingAsymmetryPercentage", display: "Walking Asymmetry Percentage", units: percents, unit: "%", how: Discrete, max: 100},
		{name: "WalkingDoubleSupportPercentage", display: "Walking Double Support Percentage", units: percents, unit: "%", how: Discrete, max: 100},
		{name: "AppleWalkingSteadiness", display: "Apple Walking Steadiness", units: percents, unit: "%", how: Discrete, max: 100},
		{name: "SixMinuteWalkTestDistance", display: "Six Minute Walk Test Distance", units: lengths, unit: "m", how: Discrete, max: 3000},
		{name: "StairAscentSpeed", display: "Stair Ascent Speed", units: speeds, unit: "m/s", how: Discrete, min: 0.01, max: 10},
		{name: "StairDescentSpeed", display: "Stair Descent Speed", units: speeds, unit: "m/s", how: Discrete, min: 0.01, max: 10},
		{name: "NumberOfTimesFallen", display: "Number of Times Fallen", units: counts, unit: "{count}", how: Cumulative, max: 1000},
		{name: "EnvironmentalAudioExposure", display: "Environmental Audio Exposure", units: soundLevels, unit: "dB[SPL]", how: Discrete, min: -20, max: 200},
		{name: "HeadphoneAudioExposure", display: "Headphone Audio Exposure", units: soundLevels, unit: "dB[SPL]", how: Discrete, min: -20, max: 200},
		{name: "EnvironmentalSoundReduction", display: "Environmental Sound Reduction", units: soundReductions, unit: "dB", how: Discrete, min: -100, max: 150},
		{name: "TimeInDaylight", display: "Time in Daylight", units: times, unit: "min", how: Cumulative, max: 5760},
		{name: "UVExposure", display: "UV Exposure", units: counts, unit: "{count}", how: Discrete, max: 50},
		{name: "ElectrodermalActivity", display: "Electrodermal Activity", units: conductances, unit: "S", how: Discrete, max: 0.01},
	}
}
