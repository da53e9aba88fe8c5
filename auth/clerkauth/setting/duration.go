package setting

import (
	"fmt"
	"time"
)

// Duration reads a duration in Go's notation that is not negative. The error says
// what to write.
func Duration(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%s is not a duration: write one such as \"90s\", or \"0s\" for none", Shown(value))
	}
	return d, nil
}
