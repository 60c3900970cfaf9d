package main

import (
	"fmt"
	"slices"
)

// spread is the median of some values, and their ends.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	return spread{Median: sorted[len(sorted)/2], Min: sorted[0], Max: sorted[len(sorted)-1]}
}

// spreadBy is that of one figure of each sample.
func spreadBy[S any](samples []S, figure func(S) float64) spread {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = figure(s)
	}
	return spreadOf(values)
}

// String has the ends in parentheses, with three digits that mean something.
func (s spread) String() string {
	return fmt.Sprintf("%s (%s-%s)", figure(s.Median), figure(s.Min), figure(s.Max))
}

// takeTurns has each take a sample, and then each another one: a machine that changes
// meanwhile changes for all.
func takeTurns[S any](rounds int, turns []func() (S, error)) ([][]S, error) {
	samples := make([][]S, len(turns))
	for range rounds {
		for i, turn := range turns {
			s, err := turn()
			if err != nil {
				return nil, err
			}
			samples[i] = append(samples[i], s)
		}
	}
	return samples, nil
}
