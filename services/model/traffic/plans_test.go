package traffic_test

import (
	"fmt"
)

func subject(i int) string { return fmt.Sprintf("subject-%d", i) }
