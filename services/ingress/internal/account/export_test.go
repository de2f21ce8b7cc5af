package account

type (
	ExportView = exportView
	ExportLine = exportLine
)
