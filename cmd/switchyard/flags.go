// SPDX-License-Identifier: Apache-2.0

package main

import "regexp"

// helpTemplate shows examples first: most people come for one.
const helpTemplate = `{{with or .Long .Short}}{{.}}{{end}}
{{if .HasExample}}
Examples:
{{.Example}}
{{end}}
Usage:
  {{.UseLine}}
{{if .HasAvailableSubCommands}}
Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding }} {{.Short}}{{end}}{{end}}
{{end}}{{if .HasAvailableLocalFlags}}
Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}`

// levelFlag is patch -p1 as everybody writes it.
var levelFlag = regexp.MustCompile(`^-p\d$`)

// normalise lets flags be written as Go programs do (-kernel) and as others
// do (--kernel): a single dash before a name of several letters becomes two.
// pflag would read -kernel as -k -e -r …; no two of our one-letter flags go
// together, so nothing is lost.
func normalise(args []string) []string {
	out := make([]string, 0, len(args))
	for i, arg := range args {
		if arg == "--" {
			return append(out, args[i:]...)
		}
		if len(arg) > 2 && arg[0] == '-' && arg[1] != '-' && arg[2] != '=' && !levelFlag.MatchString(arg) {
			arg = "-" + arg
		}
		out = append(out, arg)
	}
	return out
}
