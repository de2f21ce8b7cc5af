package pat

// RowError is the largest deviation of an attention row's sum from 1 in the
// last explained week.
func (e *Encoder) RowError() float64 {
	worst := float32(0)
	for _, r := range e.batch[0].rowError {
		worst = max(worst, r)
	}
	return float64(worst)
}
