// SPDX-License-Identifier: GPL-2.0-only
/* Where children were forked: registers and stack as they were in the call, unread. */
#include "life.h"

#include <string.h>

/* All stacks together take no more than four MiB: the oldest goes first. */
#define STACKS_MAX 512

struct stack *life_stack(const struct life *life)
{
	return life_rare(life)->stack;
}

void stack_free(struct core *core, struct life *life)
{
	struct stack *stack = life_stack(life);

	if (!stack)
		return;
	DL_DELETE(core->stacks, stack);
	core->stack_count--;
	core_release(core, stack, sizeof(*stack));
	life->rare->stack = NULL;
}

void stack_begin(struct core *core, struct life *life, const struct lt_stack *e)
{
	struct rare *rare = life->state == LT_REAPED || e->reg_count > LT_STACK_REGS ?
				    NULL :
				    life_make_rare(core, life);

	if (!rare || rare->stack)
		return;
	if (core->stack_count == STACKS_MAX)
		stack_free(core, core->stacks->life);
	rare->stack = core_alloc(core, sizeof(*rare->stack));
	if (!rare->stack)
		return;
	rare->stack->life = life;
	rare->stack->at = *e;
	DL_APPEND(core->stacks, rare->stack);
	core->stack_count++;
}

void stack_add(struct life *life, const struct lt_stack_part *e)
{
	struct stack *stack = life_stack(life);

	if (!stack || stack->len + sizeof(e->bytes) > sizeof(stack->bytes) ||
	    (stack->len && e->address != stack->begin + stack->len))
		return;
	if (!stack->len)
		stack->begin = e->address;
	memcpy(stack->bytes + stack->len, e->bytes, sizeof(e->bytes));
	stack->len += sizeof(e->bytes);
}

void stack_dump(const struct stack *stack, core_emit_fn emit, void *user)
{
	struct lt_stack_part part = { .hdr = { .size = sizeof(part),
					       .kind = LT_STACK_PART,
					       .time_ns = stack->at.hdr.time_ns },
				      .id = stack->at.id };

	emit(user, &stack->at.hdr);
	for (size_t done = 0; done < stack->len; done += sizeof(part.bytes)) {
		part.address = stack->begin + done;
		memcpy(part.bytes, stack->bytes + done, sizeof(part.bytes));
		emit(user, &part.hdr);
	}
}

void core_each_leaker(const struct core *core, core_id_fn fn, void *user)
{
	const struct leak *leak;

	EACH_LEAK(core, leak)
		if (leak->flagged && leak->parent->state < LT_EXITING)
			fn(user, leak->parent->id);
}

uint64_t core_leakers_version(const struct core *core)
{
	return core->leakers_version;
}
