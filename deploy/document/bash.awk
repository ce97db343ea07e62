# bash's completion; the tables as functions, what uses them as it is.
BEGIN { FS = "\t" }

$1 == "command" { commands = commands $2 " " }
$1 == "option" {
	if (!($2 in options))
		programs[++count] = $2
	options[$2] = options[$2] "--" $3 " "
	if ($4 != "") {
		words = $5
		sub(/ $/, "", words)
		if (words == "" && ($4 == "FILE" || $4 == "PATH"))
			words = "@files"
		arguments = arguments "\t" $2 "/--" $3 ") echo '" words "' ;;\n"
	}
}

END {
	print "# bash completion for lifetrace, lifetraced and lifetrace-alert. Written by deploy/document."
	print "_lifetrace_options()\n{\n\tcase $1 in"
	for (i = 1; i <= count; i++)
		printf "\t%s) echo '%s' ;;\n", programs[i], options[programs[i]]
	print "\tesac\n}\n"
	print "# What an option takes: words, @files, or what nobody can know; 1 if nothing."
	printf "_lifetrace_argument()\n{\n\tcase $1 in\n%s\t*) return 1 ;;\n\tesac\n}\n\n", arguments
	print "# _lifetrace_among WORDS: those that go on from what is typed, after its last comma."
	print "_lifetrace_among()\n{\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} before="
	print "\t[[ $cur != *,* ]] || before=${cur%,*},"
	print "\tmapfile -t COMPREPLY < <(compgen -P \"$before\" -W \"$1\" -- \"${cur##*,}\")\n}\n"
	print "# _lifetrace_in PROGRAM: its options, what they take, or files."
	print "_lifetrace_in()\n{\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} words"
	print "\tif words=$(_lifetrace_argument \"$1/${COMP_WORDS[COMP_CWORD - 1]}\"); then"
	print "\t\t[ \"$words\" = @files ] || { _lifetrace_among \"$words\" && return; }"
	print "\telif [[ $cur == -* ]]; then"
	print "\t\t_lifetrace_among \"$(_lifetrace_options \"$1\")\"\n\t\treturn"
	print "\telif [[ $1 != re* ]]; then # record and replay take a file"
	print "\t\treturn\n\tfi"
	print "\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n}\n"
	print "_lifetrace()\n{\n\tCOMPREPLY=()\n\tif ((COMP_CWORD == 1)); then"
	printf "\t\t_lifetrace_among '%s--help --version'\n", commands
	print "\telse\n\t\t_lifetrace_in \"${COMP_WORDS[1]}\"\n\tfi\n}\n"
	print "_lifetraced()\n{\n\tCOMPREPLY=()\n\t_lifetrace_in lifetraced\n}\n"
	print "_lifetrace_alert()\n{\n\tCOMPREPLY=()\n\t_lifetrace_in lifetrace-alert\n}\n"
	print "complete -o filenames -F _lifetrace lifetrace"
	print "complete -o filenames -F _lifetrace_alert lifetrace-alert"
	print "complete -o filenames -F _lifetraced lifetraced"
}
