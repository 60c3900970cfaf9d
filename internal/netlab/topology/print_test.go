package topology

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/connrace/connrace/internal/netlab/link"
)

// printed is t as a file that leaves out nothing which has a value, in one
// spelling of many. Parsed again it is t.
func printed(t *Topology) string {
	p := new(printer)
	p.line(0, "about: %s", quoted(t.About))
	p.line(0, "seed: %d", t.Seed)
	p.line(0, "client: %s", list(t.Client))
	p.line(0, "resolver:")
	p.line(1, "address: %q", t.Resolver.Address) // a colon at the end needs quotes
	p.path(1, t.Resolver.Path)
	p.group(0, "hosts", len(t.Hosts), "[]")
	for _, h := range t.Hosts {
		p.host(h)
	}
	p.group(0, "names", len(t.Names), "{}")
	for _, n := range t.Names {
		p.name(n)
	}
	return p.String()
}

type printer struct{ strings.Builder }

func (p *printer) line(level int, format string, args ...any) {
	fmt.Fprintf(p, strings.Repeat("  ", level)+format+"\n", args...)
}

// group begins what has elements on the lines below, or is empty.
func (p *printer) group(level int, key string, elements int, empty string) {
	if elements > 0 {
		empty = ""
	}
	p.line(level, "%s", strings.TrimSpace(key+": "+empty))
}

func (p *printer) path(level int, path link.Path) {
	p.line(level, "delay: %v", path.Delay)
	p.line(level, "jitter: %v", path.Jitter)
	p.line(level, "loss: %s", strconv.FormatFloat(path.Loss, 'f', -1, 64))
	p.line(level, "lose_syn: %s", list(path.LoseSYN))
	if path.State != "" {
		p.line(level, "state: %s", path.State)
	}
}

func (p *printer) host(h Host) {
	p.line(1, "- addresses: %s", list(h.Addresses))
	p.path(2, h.Path)
	p.group(2, "ports", len(h.Ports), "{}")
	for _, port := range h.Ports {
		p.port(port)
	}
}

func (p *printer) port(port Port) {
	plain := slices.Contains([]string{Hang, FullQueue, Garbage, StallTLS}, port.Behaviour)
	if plain || port.Behaviour == Accept && port.TLS == nil {
		p.line(3, "%d: %s", port.Number, port.Behaviour)
		return
	}
	p.line(3, "%d:", port.Number)
	if t := port.TLS; t != nil {
		p.line(4, "tls: {names: %s, alpn: %s, expired: %v}", list(t.Names), list(t.ALPN), t.Expired)
	}
	switch port.Behaviour {
	case Reset:
		p.line(4, "reset: %v", port.ResetAfter)
	case HTTP:
		p.line(4, "http: {status: %d, delay: %v, body: %s}", port.HTTP.Status, port.HTTP.Delay, quoted(port.HTTP.Body))
	case Health:
		p.line(4, "health:")
		for _, service := range slices.Sorted(maps.Keys(port.Health)) {
			p.line(5, "%s: %s", quoted(service), port.Health[service])
		}
	}
}

func (p *printer) name(n Name) {
	answers := []struct {
		key     string
		content string
		answer  *Answer
	}{
		{"A", "addresses", n.A},
		{"AAAA", "addresses", n.AAAA},
		{"HTTPS", "records", n.HTTPS},
		{"SVCB", "records", n.SVCB},
		{"SRV", "records", n.SRV},
	}
	answers = slices.DeleteFunc(answers, func(a struct {
		key     string
		content string
		answer  *Answer
	},
	) bool {
		return a.answer == nil
	})
	switch {
	case n.CNAME != "":
		p.line(1, "%s: {CNAME: {target: %s, ttl: %d}}", n.Name, n.CNAME, n.CNAMETTL)
		return
	case len(answers) == 0:
		p.line(1, "%s: {}", n.Name)
		return
	}
	p.line(1, "%s:", n.Name)
	for _, a := range answers {
		p.answer(2, a.key, a.content, a.answer)
	}
}

func (p *printer) answer(level int, key, content string, a *Answer) {
	p.line(level, "%s:", key)
	level++
	switch {
	case len(a.Addresses) > 0:
		p.line(level, "addresses: %s", list(a.Addresses))
	case len(a.Services)+len(a.Servers) == 0:
		p.line(level, "%s: []", content)
	default:
		p.line(level, "records:")
		for _, s := range a.Services {
			p.line(level+1, "- %s", service(s))
		}
		for _, s := range a.Servers {
			p.line(level+1, "- %s", server(s))
		}
	}
	p.line(level, "ttl: %d", a.TTL)
	p.line(level, "delay: %v", a.Delay)
	p.line(level, "rcode: %s", rcodes[a.RCode])
	p.line(level, "drop: %v", a.Drop)
	p.line(level, "truncate: %v", a.Truncate)
	if a.Malformed != "" {
		p.line(level, "malformed: %s", a.Malformed)
	}
	if a.Then != nil {
		p.answer(level, "then", content, a.Then)
	}
}

func service(s Service) string {
	keys := []string{fmt.Sprintf("priority: %d", s.Priority), "target: " + s.Target}
	add := func(given bool, key, value string) {
		if given {
			keys = append(keys, key+": "+value)
		}
	}
	var mandatory []string
	for _, number := range s.Mandatory {
		mandatory = append(mandatory, paramKeys[number])
	}
	add(s.ALPN != nil, "alpn", list(s.ALPN))
	add(s.NoDefaultALPN, "no-default-alpn", "true")
	add(s.Port != 0, "port", strconv.Itoa(int(s.Port)))
	add(s.IPv4Hint != nil, "ipv4hint", list(s.IPv4Hint))
	add(s.IPv6Hint != nil, "ipv6hint", list(s.IPv6Hint))
	add(s.ECH != nil, "ech", base64.StdEncoding.EncodeToString(s.ECH))
	add(mandatory != nil, "mandatory", list(mandatory))
	return "{" + strings.Join(keys, ", ") + "}"
}

func server(s Server) string {
	if s.Target == "." {
		return fmt.Sprintf("{priority: %d, weight: %d, target: .}", s.Priority, s.Weight)
	}
	return fmt.Sprintf("{priority: %d, weight: %d, target: %s, port: %d}", s.Priority, s.Weight, s.Target, s.Port)
}

func list[T any](values []T) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = fmt.Sprint(v)
		if text, ok := any(v).(string); ok && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-./") != "" {
			words[i] = quoted(text)
		}
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// quoted is a text in quotes: for text that is UTF-8, Go's escapes are YAML's.
func quoted(text string) string { return strconv.QuoteToASCII(text) }
