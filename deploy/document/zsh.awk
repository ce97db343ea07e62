# zsh's completion: one call of _arguments for each command.
BEGIN { FS = "\t"; quote = "'" }

function quoted(s) { gsub(quote, quote "\\" quote quote, s); return quote s quote }
function description(s) { gsub(/:|\[|\]/, "\\\\&", s); return s }

function taken(argument, words)
{
	if (argument == "")
		return ""
	sub(/ $/, "", words)
	if (words != "" && argument ~ /,/)
		return ":" argument ":_values -s , " argument " " words
	if (words != "")
		return ":" argument ":(" words ")"
	return ":" argument ":" (argument == "FILE" || argument == "PATH" ? "_files" : " ")
}

function print_daemon(program)
{
	print "\tif [[ $service == " program " ]]; then"
	print "\t\t_arguments" specs[program] "\n\t\treturn\n\tfi"
}

$1 == "command" {
	commands = commands "\t\t" quoted($2 ":" description($4)) "\n"
	programs[++count] = $2
	if ($3 ~ /^FILE/)
		specs[$2] = " \\\n\t\t\t" quoted("1:FILE:_files")
}
$1 == "option" {
	argument = $4
	gsub(/\[|\]/, "", argument)
	specs[$2] = specs[$2] " \\\n\t\t\t" quoted("--" $3 "[" description($6) "]" taken(argument, $5))
}

END {
	print "#compdef lifetrace lifetraced lifetrace-alert\n# zsh completion for lifetrace, lifetraced and lifetrace-alert. Written by deploy/document."
	print "_lifetrace()\n{\n\tlocal -a commands=(\n" commands "\t)"
	print_daemon("lifetraced")
	print_daemon("lifetrace-alert")
	print "\tif ((CURRENT == 2)); then\n\t\t_describe command commands\n\t\treturn\n\tfi"
	print "\tshift words\n\t((CURRENT--))\n\tcase $words[1] in"
	for (i = 1; i <= count; i++)
		print "\t" programs[i] ")\n\t\t_arguments" specs[programs[i]] "\n\t\t;;"
	print "\tesac\n}\n\n_lifetrace \"$@\""
}
