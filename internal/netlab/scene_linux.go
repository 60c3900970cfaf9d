package netlab

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/connrace/connrace/internal/netlab/topology"
)

// Scene is a lab as a file describes it.
type Scene struct {
	*Lab
	DNS       *DNS       // the resolver; all programs of the client host ask it
	Authority *Authority // signed the certificates of all hosts with TLS
}

// Build starts the lab that t describes. Closing the lab ends all of it.
func Build(t *topology.Topology) (*Scene, error) {
	lab, err := Start(Config{Client: t.Client, Seed: t.Seed})
	if err != nil {
		return nil, err
	}
	s := &Scene{Lab: lab}
	if err := s.furnish(t); err != nil {
		return nil, errors.Join(err, lab.Close())
	}
	return s, nil
}

func (s *Scene) furnish(t *topology.Topology) (err error) {
	if s.Authority, err = NewAuthority(); err != nil {
		return err
	}
	if err := s.furnishDNS(t); err != nil {
		return err
	}
	for _, host := range t.Hosts {
		for _, addr := range host.Addresses {
			if err := s.SetPath(addr, host.Path); err != nil {
				return err
			}
			for _, port := range host.Ports {
				if err := s.furnishPort(addr, port); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *Scene) furnishDNS(t *topology.Topology) (err error) {
	if err := s.SetPath(t.Resolver.Address, t.Resolver.Path); err != nil {
		return err
	}
	if s.DNS, err = s.StartDNS(netip.AddrPortFrom(t.Resolver.Address, 53)); err != nil {
		return err
	}
	for _, name := range t.Names {
		answers := scripted(name)
		if err := answers.Check(name.Name); err != nil {
			return fmt.Errorf("netlab: answers for %s: %w", name.Name, err)
		}
		s.DNS.Set(name.Name, answers)
	}
	return s.UseResolver(t.Resolver.Address)
}

// furnishPort has somebody listen.
func (s *Scene) furnishPort(addr netip.Addr, p topology.Port) error {
	at := netip.AddrPortFrom(addr, p.Number)
	if p.Behaviour == topology.FullQueue {
		_, err := s.Swallow(at)
		return err
	}
	b, err := behaviour(p)
	if err != nil {
		return err
	}
	if p.TLS != nil {
		validity := Valid
		if p.TLS.Expired {
			validity = Expired
		}
		cert, err := s.Authority.Certificate(validity, p.TLS.Names...)
		if err != nil {
			return err
		}
		b = TLS(TLSServer{Certificate: cert, ALPN: p.TLS.ALPN}, b)
	}
	_, err = s.Serve(at, b)
	return err
}

// behaviour is what a port does after the handshake of TLS, or without.
func behaviour(p topology.Port) (Behaviour, error) {
	switch p.Behaviour {
	case topology.Accept:
		return Read(), nil
	case topology.Hang:
		return Hang(), nil
	case topology.Reset:
		return Reset(p.ResetAfter), nil
	case topology.Garbage:
		return Garbage(), nil
	case topology.StallTLS:
		return StallTLS(), nil
	case topology.HTTP:
		return HTTP(HTTPServer{Status: p.HTTP.Status, Delay: p.HTTP.Delay, Body: p.HTTP.Body}), nil
	case topology.Health:
		return healthy(p.Health)
	}
	return Behaviour{}, fmt.Errorf("netlab: port %d: no behaviour %q", p.Number, p.Behaviour)
}

// healthStates are the file's words, which are those of grpc.health.v1.
var healthStates = map[string]HealthState{
	"SERVING":         Serving,
	"NOT_SERVING":     NotServing,
	"UNKNOWN":         HealthUnknown,
	"SERVICE_UNKNOWN": ServiceUnknown,
	"UNIMPLEMENTED":   HealthUnimplemented,
	"HANG":            HealthHangs,
}

func healthy(states map[string]string) (Behaviour, error) {
	server := NewHealthServer()
	for service, state := range states {
		if err := server.Set(service, healthStates[state]); err != nil {
			return Behaviour{}, err
		}
	}
	return Health(server), nil
}

// scripted turns a name of the file into the script of the name server.
func scripted(name topology.Name) Answers {
	return Answers{
		A:        answer(name.A),
		AAAA:     answer(name.AAAA),
		HTTPS:    answer(name.HTTPS),
		SVCB:     answer(name.SVCB),
		SRV:      answer(name.SRV),
		CNAME:    name.CNAME,
		CNAMETTL: name.CNAMETTL,
	}
}

func answer(a *topology.Answer) Answer {
	if a == nil {
		return Answer{}
	}
	scripted := Answer{
		Addrs:     a.Addresses,
		RCode:     dnsmessage.RCode(a.RCode),
		Delay:     a.Delay,
		Drop:      a.Drop,
		TTL:       a.TTL,
		Truncate:  a.Truncate,
		Malformed: Malformed(a.Malformed),
	}
	for _, s := range a.Services {
		scripted.Services = append(scripted.Services, Service{
			Priority:      s.Priority,
			Target:        s.Target,
			Mandatory:     s.Mandatory,
			ALPN:          s.ALPN,
			NoDefaultALPN: s.NoDefaultALPN,
			Port:          s.Port,
			IPv4Hint:      s.IPv4Hint,
			ECH:           s.ECH,
			IPv6Hint:      s.IPv6Hint,
		})
	}
	for _, s := range a.Servers {
		scripted.Hosts = append(scripted.Hosts, SRV{Priority: s.Priority, Weight: s.Weight, Port: s.Port, Target: s.Target})
	}
	if a.Then != nil {
		then := answer(a.Then)
		scripted.Then = &then
	}
	return scripted
}
