package main

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// permute puts the flags of a command before its arguments, as getopt does: kong
// alone takes no further argument after a flag that follows one.
func permute(app *kong.Application, args []string) []string {
	at := slices.IndexFunc(args, func(arg string) bool { return !strings.HasPrefix(arg, "-") })
	if at < 0 {
		return args
	}
	command := slices.IndexFunc(app.Children, func(n *kong.Node) bool { return n.Name == args[at] })
	if command < 0 {
		return args
	}
	flags, arguments := split(app.Children[command], args[at+1:])
	permuted := slices.Concat(args[:at+1], flags)
	if len(arguments) == 0 {
		return permuted
	}
	return slices.Concat(permuted, []string{"--"}, arguments)
}

// split tells the flags of a command, with their values, from its arguments.
func split(command *kong.Node, args []string) (flags, arguments []string) {
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "--":
			return flags, append(arguments, args[i+1:]...)
		case !strings.HasPrefix(arg, "-") || arg == "-":
			arguments = append(arguments, arg)
		case wantsValue(command, arg) && i+1 < len(args):
			flags = append(flags, arg, args[i+1])
			i++
		default:
			flags = append(flags, arg)
		}
	}
	return flags, arguments
}

// wantsValue says whether the value of a flag is the next word: "--timeout" and
// "-n" want one, "--timeout=1s", "-n3" and "-4" do not. An unknown flag wants
// none; kong complains about it.
func wantsValue(command *kong.Node, arg string) bool {
	for _, flag := range slices.Concat(command.AllFlags(false)...) {
		switch {
		case arg == "--"+flag.Name:
			return !flag.IsBool()
		case flag.Short != 0 && arg == "-"+string(flag.Short):
			return !flag.IsBool()
		}
	}
	return false
}
