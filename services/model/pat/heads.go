package pat

const (
	weekHidden = 128
	weekValues = 5
)
