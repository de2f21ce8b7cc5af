package account

// ExportView is shown to tests.
type ExportView = exportView
