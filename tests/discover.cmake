# Run after a test program is built: writes one add_test() for each test it has.
execute_process(COMMAND ${PROGRAM} --list --ascii OUTPUT_VARIABLE listed
	COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "\n" ";" lines "${listed}")
set(text "")
foreach(line IN LISTS lines)
	if(line MATCHES "^([A-Za-z0-9_]+): [0-9]+ tests?")
		set(suite ${CMAKE_MATCH_1})
	elseif(line MATCHES "^[|`+-]+ ?(-- )?([A-Za-z0-9_]+)")
		set(test ${CMAKE_MATCH_2})
		set(name "${LABEL}.${suite}.${test}")
		string(APPEND text
			"add_test([=[${name}]=] ${PROGRAM} --verbose --filter ${suite}/${test})\n"
			"set_tests_properties([=[${name}]=] PROPERTIES LABELS ${LABEL} TIMEOUT 300\n"
			"\tSKIP_REGULAR_EXPRESSION [=[SKIP. ${suite}::${test}:]=]")
		if(LABEL STREQUAL "live")
			string(APPEND text " RUN_SERIAL ON")
		endif()
		string(APPEND text ")\n")
	endif()
endforeach()
if(NOT text)
	message(FATAL_ERROR "${PROGRAM} lists no tests:\n${listed}")
endif()
file(WRITE ${LIST} "${text}")
