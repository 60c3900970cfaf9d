//go:build !linux

package connect

// Engine makes attempts. The zero value is ready to use.
type Engine struct{}

// Attempts returns an empty set of attempts.
func (e *Engine) Attempts(race Race) Attempts { return Portable(race, nil) }

// Close does nothing here: nothing is kept.
func (e *Engine) Close() {}
