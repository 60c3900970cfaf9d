package main

import "fmt"

// callRow is what calls cost the servers that answer them.
type callRow struct {
	Title   string       `json:"title"`
	Unit    string       `json:"unit"` // what CPU is for each of
	Results []callResult `json:"results"`
}

type callResult struct {
	Name      string       `json:"name"`
	CPU       spread       `json:"cpuUs"`     // of the server, for each unit
	PerSecond spread       `json:"perSecond"` // units
	Failures  float64      `json:"failures"`  // calls, in all samples
	Samples   []callSample `json:"samples"`
}

// turn takes one sample of a call. One call has that many units.
type turn struct {
	name   string
	units  int
	sample func() (callSample, error)
}

func measureCalls(title, unit string, rounds int, turns []turn) (r callRow, err error) {
	r = callRow{Title: title, Unit: unit}
	takers := make([]func() (callSample, error), len(turns))
	for i, t := range turns {
		takers[i] = t.sample
	}
	samples, err := takeTurns(rounds, takers)
	if err != nil {
		return r, err
	}
	for i, t := range turns {
		r.Results = append(r.Results, callResultOf(t, samples[i]))
	}
	return r, nil
}

func callResultOf(t turn, samples []callSample) callResult {
	units := func(s callSample) float64 { return s.Calls * float64(t.units) }
	x := callResult{
		Name:      t.name,
		CPU:       spreadBy(samples, func(s callSample) float64 { return s.CPUMicros / units(s) }),
		PerSecond: spreadBy(samples, func(s callSample) float64 { return units(s) / s.WallMicros * 1e6 }),
		Samples:   samples,
	}
	for _, s := range samples {
		x.Failures += s.Failures
	}
	return x
}

// cpu is the median of a result, where it was measured.
func (r callRow) cpu(name string) (micros float64, known bool) {
	for _, x := range r.Results {
		if x.Name == name {
			return x.CPU.Median, true
		}
	}
	return 0, false
}

func (r callRow) print() {
	fmt.Printf("\n%s\n", r.Title)
	fmt.Printf("  %-52s %26s %24s\n", "", "CPU µs "+r.Unit+" (min-max)", "a second (min-max)")
	for _, x := range r.Results {
		fmt.Printf("  %-52s %26s %24s%s\n", x.Name, x.CPU, x.PerSecond, failed(x.Failures))
	}
}

// failed is what makes a figure doubtful.
func failed(n float64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("  %.0f failed", n)
}
