# The --help of lifetraced or lifetrace-alert as rows: option or setting, program, name, argument,
# words, text. Settings are lifetraced's, which knows all.
#	awk -v program=PROGRAM -f daemon.awk
function flush_row()
{
	if (name != "")
		print "option\t" program "\t" name "\t" argument "\t\t" text
	if (name != "" && settings && program == "lifetraced") {
		gsub(/-/, "_", name)
		print "setting\t" name "\t" argument "\t" text
	}
	name = ""
}

/^  --[a-z-]+/ {
	flush_row()
	name = substr($1, 3)
	if (sub(/,$/, "", name)) # --help, --version
		name = ""
	argument = $2 ~ /^([A-Z]+|on\|off)$/ ? $2 : ""
	text = $0
	sub(/^  [^ ]+ +/, "", text)
	if (argument != "")
		text = substr(text, length(argument) + 1)
	sub(/^ +/, "", text)
	next
}
/^   / && name != "" { # it goes on
	sub(/^ +/, "")
	text = text " " $0
	next
}
/^Settings/ { flush_row(); settings = 1 }
END {
	flush_row()
	print "option\t" program "\thelp\t\t\tsay what this program does"
	print "option\t" program "\tversion\t\t\tsay which version this is"
}
