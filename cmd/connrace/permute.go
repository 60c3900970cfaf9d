package main

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"github.com/connrace/connrace/internal/hostname"
)

// permute puts the flags of a command before its arguments, as getopt does: kong
// alone takes no further argument after a flag that follows one.
func permute(app *kong.Application, args []string) []string {
	command, at := commandIn(app, args)
	if command == nil {
		return args
	}
	flags, arguments := split(command, args[at+1:])
	permuted := slices.Concat(args[:at+1], flags)
	if len(arguments) == 0 {
		return permuted
	}
	return slices.Concat(permuted, []string{"--"}, arguments)
}

// commandIn returns the command that is called, and where its name stands; nil: none is.
func commandIn(app *kong.Application, args []string) (command *kong.Node, at int) {
	at = slices.IndexFunc(args, func(arg string) bool { return !strings.HasPrefix(arg, "-") })
	if at < 0 {
		return nil, at
	}
	return commandNamed(app, args[at]), at
}

func commandNamed(app *kong.Application, name string) *kong.Node {
	i := slices.IndexFunc(app.Children, func(n *kong.Node) bool { return n.Name == name })
	if i < 0 {
		return nil
	}
	return app.Children[i]
}

// split tells the flags of a command from its arguments. A value that was a word of its
// own is joined to its flag: "--timeout=1s".
func split(command *kong.Node, args []string) (flags, arguments []string) {
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "--":
			return flags, append(arguments, args[i+1:]...)
		case !strings.HasPrefix(arg, "-") || arg == "-":
			arguments = append(arguments, arg)
		case i+1 < len(args) && valueOf(flagNamed(command, arg), args[i+1]):
			flags = append(flags, "--"+flagNamed(command, arg).Name+"="+args[i+1])
			i++
		default:
			flags = append(flags, arg)
		}
	}
	return flags, arguments
}

// flagNamed returns the flag that a word is: "--timeout" and "-n" are one,
// "--timeout=1s" and "-n3" have their value already. nil: none; of an unknown one kong
// complains.
func flagNamed(command *kong.Node, arg string) *kong.Flag {
	for _, flag := range slices.Concat(command.AllFlags(false)...) {
		if arg == "--"+flag.Name || flag.Short != 0 && arg == "-"+string(flag.Short) {
			return flag
		}
	}
	return nil
}

// valueOf says whether the word behind a flag is its value. One that looks like a flag
// is not, unless it is a negative number where a number is wanted.
func valueOf(flag *kong.Flag, word string) bool {
	if flag == nil || flag.IsBool() {
		return false
	}
	return !strings.HasPrefix(word, "-") || word == "-" || negative.MatchString(word) && numeric(flag.Target.Type())
}

var negative = regexp.MustCompile(`^-[0-9.]`)

func numeric(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return reflect.Int <= t.Kind() && t.Kind() <= reflect.Float64
}

// checkText refuses what is not UTF-8: kong would put U+FFFD in its place, which names
// another file, another caller or another interface.
func checkText(args []string) error {
	for i, arg := range args {
		if !utf8.ValidString(arg) {
			return usage(fmt.Sprintf("argument %d, %s, is not UTF-8; write it in UTF-8, and if it names a file, give that a name in UTF-8", i+1, hostname.Quote(arg)))
		}
	}
	return nil
}

// checkEmpty refuses a flag whose value is missing or the empty text. To most that would
// mean the same as no flag at all, and it is what a script has that forgot to set a
// variable.
func checkEmpty(app *kong.Application, permuted []string) error {
	command, at := commandIn(app, permuted)
	if command == nil {
		return nil
	}
	for _, arg := range permuted[at+1:] {
		if arg == "--" {
			return nil
		}
		name, value, given := strings.Cut(arg, "=")
		switch flag := flagNamed(command, name); {
		case flag == nil || value != "" || !given && flag.IsBool():
		case flag.IsBool():
			return usage(fmt.Sprintf("--%s has an empty value; give it without one, or leave it out", flag.Name))
		case !given:
			return usage(fmt.Sprintf("--%s lacks its value; give it as --%s %s", flag.Name, flag.Name, flag.PlaceHolder))
		case flag.Name != mayBeEmpty:
			return usage(fmt.Sprintf("--%s is empty; give it as --%s %s, or leave it out", flag.Name, flag.Name, flag.PlaceHolder))
		}
	}
	return nil
}

// mayBeEmpty is the flag to which the empty text says something of its own: the health
// of the server as a whole.
const mayBeEmpty = "grpc-health"
