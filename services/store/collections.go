package store

// The collections.
const (
	collectionUploads    = "uploads"    // by upload id
	collectionDays       = "days"       // by yyyy-mm-dd
	collectionTombstones = "tombstones" // one, "all"
	collectionResults    = "results"    // by the window's last day
	collectionInsights   = "insights"   // by the window's last day
	collectionEmbeddings = "embeddings" // by the window's last day; never leaves the platform
	collectionCursors    = "cursors"    // one, "=all"; of the releases before by HealthKit type
	collectionEvents     = "deliveries" // by sequence number, 16 hexadecimal digits; the stored name is older than the word
	collectionProfiles   = "profiles"   // one, "profile"
	collectionConsents   = "consents"   // by purpose
	collectionExports    = "exports"    // by export id
	collectionSpent      = "spent"      // what is bounded a day, under spent.Key
	collectionAgenda     = "agenda"     // what is unfinished, by what it is
	collectionEndpoints  = "endpoints"  // servers that a tenant has told, under a uid of the tenant's own; nobody's
	collectionMissed     = "missed"     // what they did not take, there too
	collectionMarks      = "marks"      // which of a person's events these are
	collectionDevices    = "devices"    // one, "all": those that are woken
	collectionKeys       = "keys"       // a keyring's, in a database that has nothing else: under a uid of the keyring's own; nobody's
	collectionAccounts   = "accounts"   // one, "account": how the person stands; outlives erasure, holds no health data
)
