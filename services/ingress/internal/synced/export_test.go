package synced

type (
	View     = syncView
	Coverage = coverage
	DayRange = dayRange
)
