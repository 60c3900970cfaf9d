package admit

// OfARace is how many descriptors a race has, beside a socket for each attempt, while
// it has attempts in flight: those of a poller.
const OfARace = 4

// What the process needs besides what races have: idle sockets and pollers that are kept
// for the next ones, listeners, a connection for each client, sockets of DNS lookups,
// files, pipes. A quarter of its descriptors, within these bounds; of very few, half.
const (
	minReserve = 64
	maxReserve = 2048
)

// spare is what attempts may use of a limit; at least 1, because 0 is no limit.
func spare(limit uint64) int {
	limit = min(limit, 1<<30) // "unlimited" is a huge number
	reserve := min(max(limit/4, min(minReserve, limit/2)), maxReserve)
	return int(max(limit-reserve, 1))
}
