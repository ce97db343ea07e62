// SPDX-License-Identifier: GPL-2.0-only
/* Stacks as they were copied: whoever asks unwinds them. */
#include "view.h"

#include <stdlib.h>

#include "parts.h"

/* Two digits a byte, in the order of memory. */
static json_t *hex(const void *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *byte = bytes;
	char *text = malloc(len * 2 + 1);
	json_t *json;

	if (!text)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		text[i * 2] = digits[byte[i] >> 4];
		text[i * 2 + 1] = digits[byte[i] & 15];
	}
	json = json_stringn(text, len * 2);
	free(text);
	return json;
}

static json_t *view_stack(const struct core *core, const struct stack *stack)
{
	const struct life *parent = life_find(core, stack->at.parent);
	json_t *object = json_object();
	char begin[32];

	snprintf(begin, sizeof(begin), "0x%" PRIx64, stack->begin);
	set(object, "id", id_text(stack->life->id));
	set(object, "parent_id", id_text(stack->at.parent));
	set(object, "parent_pid", integer(stack->at.parent.pid));
	set(object, "tid", integer(stack->at.tid));
	set(object, "time_ns", integer(stack->at.hdr.time_ns));
	set(object, "before_exec", json_boolean(parent && parent->exec_ns > stack->at.hdr.time_ns));
	set(object, "regs", hex(stack->at.regs, stack->at.reg_count * sizeof(stack->at.regs[0])));
	set(object, "begin", json_string(begin));
	set(object, "bytes", hex(stack->bytes, stack->len));
	return object;
}

json_t *view_stacks(const struct core *core, uint64_t now_ns, const struct filter *filter)
{
	json_t *document = json_object(), *array = json_array();
	const struct stack *stack;

	DL_FOREACH(core->stacks, stack)
		if (stack->life->state == LT_ZOMBIE &&
		    (!filter->has_pid || filter->pid == stack->at.parent.pid))
			json_array_append_new(array, view_stack(core, stack));
	set(document, "time_ns", integer(now_ns));
	set(document, "stacks", array);
	return document;
}
