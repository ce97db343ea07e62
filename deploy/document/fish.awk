# fish's completion.
BEGIN {
	FS = "\t"
	quote = "'"
	print "# fish completion for lifetrace, lifetraced and lifetrace-alert. Written by deploy/document."
	print "complete -c lifetrace -f"
	print "complete -c lifetraced -f"
	print "complete -c lifetrace-alert -f"
}

function quoted(s) { gsub(/\\/, "\\\\", s); gsub(quote, "\\" quote, s); return quote s quote }

$1 == "command" {
	print "complete -c lifetrace -n __fish_use_subcommand -a " $2 " -d " quoted($4)
	if ($3 ~ /^FILE/)
		print "complete -c lifetrace -n '__fish_seen_subcommand_from " $2 "' -F"
}
$1 == "option" {
	how = "complete -c " $2
	if ($2 !~ /^lifetrace(d|-alert)$/)
		how = "complete -c lifetrace -n '__fish_seen_subcommand_from " $2 "'"
	if ($4 == "FILE" || $4 == "PATH")
		takes = " -r -F"
	else if ($5 != "" && $4 ~ /,/)
		takes = " -x -a " quoted("(__fish_append , " $5 ")")
	else if ($5 != "")
		takes = " -x -a " quoted($5)
	else
		takes = $4 == "" ? "" : " -x"
	print how " -l " $3 takes " -d " quoted($6)
}
