# A page in mdoc(7) with the programs' own tables in place of lines such as "@commands".
#	awk -f man.awk TABLES PAGE
BEGIN { FS = "\t" }

NR == FNR {
	rows[++count] = $0
	next
}
$0 == "@commands" { print_commands(); next }
$1 == "@options" { printf "%s", options_of($2); next }
/^@/ { print_table(substr($0, 2)); next }
{ print }

function text(s)
{
	gsub(/\\/, "\\e", s)
	gsub(/-/, "\\-", s)
	if (s ~ /^[.']/)
		s = "\\&" s
	return s
}

function print_commands(    i, cell)
{
	for (i = 1; i <= count; i++) {
		split(rows[i], cell, "\t")
		if (cell[1] == "command")
			printf ".Ss %s %s\n%s.\n%s%s", cell[2], text(cell[3]), text(cell[4]),
				options_of(cell[2]), examples_of(cell[2])
	}
}

function options_of(program,    i, cell, out)
{
	for (i = 1; i <= count; i++) {
		split(rows[i], cell, "\t")
		if (cell[1] != "option" || cell[2] != program)
			continue
		out = out ".It Fl \\-" text(cell[3]) (cell[4] == "" ? "" : " Ar " text(cell[4])) "\n"
		out = out text(cell[6]) (cell[5] == "" ? "" : ": " text(cell[5])) "\n"
	}
	return out == "" ? "" : ".Bl -tag -width Ds\n" out ".El\n"
}

function examples_of(command,    i, cell, out)
{
	for (i = 1; i <= count; i++) {
		split(rows[i], cell, "\t")
		if (cell[1] == "example" && cell[2] == command)
			out = out text(cell[3]) "\n"
	}
	return out == "" ? "" : ".Pp\nExamples:\n.Bd -literal -offset indent\n" out ".Ed\n"
}

# KIND, name, perhaps an argument, text
function print_table(kind,    i, cell, n)
{
	print ".Bl -tag -width Ds"
	for (i = 1; i <= count; i++) {
		n = split(rows[i], cell, "\t")
		if (cell[1] == kind)
			printf ".It Cm %s%s\n%s\n", text(cell[2]),
				(n == 4 && cell[3] != "") ? " Ar " text(cell[3]) : "", text(cell[n])
	}
	print ".El"
}
