package cost_test

// price is what one of a kind costs, in dollars: list prices of one region, and
// what they are paid for.
func price(k Kind) float64 {
	const (
		hundredThousand = 100_000
		million         = 1_000_000
		tebibyte        = 1 << 40
		leastMessage    = 1000 // bytes, billed at the least for each way that it goes
		ways            = 3    // in, and out to two consumers at most
		objects         = 5    // of the audit log a second and process, in the long run
	)
	switch k {
	case Read:
		return 0.03 / hundredThousand // Firestore
	case Write, Check:
		return 0.09 / hundredThousand // Firestore
	case Delete:
		return 0.01 / hundredThousand // Firestore
	case Put:
		return 5.00 / million // Cloud Storage, class A
	case Get:
		return 0.40 / million // Cloud Storage, class B
	case Message:
		return 40.0 / tebibyte * leastMessage * ways // Pub/Sub
	case Unwrap:
		return 0.03 / hundredThousand // a document of the keys' database; the shards' keys stay in memory
	case Audit:
		return 5.00 / million * objects / entriesPerSecond // Cloud Storage, class A: its part of an object
	}
	return 0
}

// Dollars is what it costs.
func (c Counts) Dollars() (sum float64) {
	for _, k := range Kinds() {
		sum += float64(c.Sum(k)) * price(k)
	}
	return sum
}

// The load that is assumed of a year.
const (
	People        = 10_000_000
	UploadsPerDay = 10 // a person's
	daysOfAYear   = 365

	// processes of each binary share it, and each writes the entry of one step of an upload.
	processes        = 20
	entriesPerSecond = People * UploadsPerDay / (24 * 3600.0) / processes
)

// PerMillion is what a million uploads like this one cost.
func (c Counts) PerMillion() float64 { return c.Dollars() * 1_000_000 }

// PerYear is what a year of People costs whose uploads are all like this one.
func (c Counts) PerYear() float64 { return c.Dollars() * People * UploadsPerDay * daysOfAYear }
