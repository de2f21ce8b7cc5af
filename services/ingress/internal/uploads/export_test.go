package uploads

type (
	Receipt = receipt
	View    = uploadView
)
