package uploads

type (
	Receipt  = receipt
	View     = uploadView
	Sync     = syncView
	Coverage = coverage
	DayRange = dayRange
)
