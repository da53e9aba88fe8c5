package main

import (
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
)

// target is a promise that the tables above it have to show.
type target struct {
	text, got string
	met       bool
	count     bool // of things rather than time, so it holds on any machine
}

// printTargets reports whether all counts are met.
func printTargets(targets []target) bool {
	counts := true
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, t := range targets {
		verdict := "met"
		if !t.met {
			verdict = "not met"
			counts = counts && !t.count
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", verdict, t.text, t.got)
	}
	_ = w.Flush()
	return counts
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}

// pairedRatio is the median of the rounds' own ratios: what slows the machine
// down for a while slows both sides of one round.
func pairedRatio(values, base []float64) float64 {
	ratios := make([]float64, len(values))
	for i := range values {
		ratios[i] = values[i] / base[i]
	}
	return median(ratios)
}

// spread is how far the rounds lie apart, relative to their median.
func spread(values []float64) string {
	return fmt.Sprintf("%.0f %%", 100*(slices.Max(values)-slices.Min(values))/median(values))
}
