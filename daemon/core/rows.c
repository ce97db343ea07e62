// SPDX-License-Identifier: GPL-2.0-only
/* Gathering, sorting and cutting: only what is asked for is put in order. */
#include "rows.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 52 /* bits of more_below that JSON numbers carry everywhere */

static struct row *rows_new(struct rows *rows, const struct life *life)
{
	size_t room = rows->room ? rows->room * 2 : 64;
	struct row *bigger;

	if (rows->count == rows->room) {
		bigger = realloc(rows->all, room * sizeof(*bigger));
		if (!bigger)
			return NULL;
		rows->all = bigger;
		rows->room = room;
	}
	rows->all[rows->count] = (struct row){ .life = life };
	return &rows->all[rows->count++];
}

void rows_add(struct rows *rows, const struct life *life)
{
	if (may_know(rows->viewer, life->uid) && filter_text(rows->filter, life, rows->viewer))
		rows_new(rows, life);
}

void rows_free(struct rows *rows)
{
	free(rows->all);
	rows->all = NULL;
}

/* ---- order ---- */

struct order {
	bool falling, late_first;
};

static int compare_keys(const struct sort_key *a, const struct sort_key *b)
{
	if (a->text && b->text)
		return strcmp(a->text, b->text);
	return a->number < b->number ? -1 : a->number > b->number;
}

/* No two rows are equal: of those with one key, in order of birth. */
static bool is_before(const struct order *order, const struct row *a, const struct row *b)
{
	int compared = compare_keys(&a->key, &b->key);

	if (compared)
		return (compared < 0) != order->falling;
	return (life_order(&a->life, &b->life) < 0) != order->late_first;
}

static void swap(struct row *a, struct row *b)
{
	struct row kept = *a;

	*a = *b;
	*b = kept;
}

static void sort_few(struct row *rows, size_t count, const struct order *order)
{
	for (size_t i = 1; i < count; i++)
		for (size_t j = i; j && is_before(order, &rows[j], &rows[j - 1]); j--)
			swap(&rows[j], &rows[j - 1]);
}

#define FEW 12

/* Puts a middling row first, picked so that no input is known to be bad. */
static void choose_pivot(struct row *rows, size_t count, const struct order *order, uint64_t *seed)
{
	struct row *a, *b, *c;

	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	a = &rows[(*seed >> 33) % count];
	b = &rows[count / 2];
	c = &rows[count - 1];
	if (is_before(order, b, a))
		b = a;
	if (is_before(order, c, b))
		b = c;
	swap(&rows[0], b);
}

/* Those before the first one go before it; returns where it stands then. */
static size_t partition(struct row *rows, size_t count, const struct order *order)
{
	size_t at = 0;

	for (size_t i = 1; i < count; i++)
		if (is_before(order, &rows[i], &rows[0]))
			swap(&rows[++at], &rows[i]);
	swap(&rows[0], &rows[at]);
	return at;
}

/*
 * A quicksort that leaves out what lies outside of [begin, end): twenty
 * thousand rows are looked at about twice, and a screenful is sorted.
 */
static void sort_window(struct row *rows, size_t count, size_t begin, size_t end,
			const struct order *order)
{
	uint64_t seed = count;
	size_t at;

	while (count > FEW && begin < end && begin < count) {
		choose_pivot(rows, count, order, &seed);
		at = partition(rows, count, order);
		if (at > begin)
			sort_window(rows, at, begin, end < at ? end : at, order);
		if (end <= at + 1)
			return;
		begin = begin > at + 1 ? begin - at - 1 : 0;
		end -= at + 1;
		rows += at + 1;
		count -= at + 1;
	}
	sort_few(rows, count, order);
}

/* ---- cutting ---- */

static int64_t find_rank(const struct rows *rows, const struct order *order)
{
	const struct row *selected = NULL;
	int64_t rank = 0;

	for (size_t i = 0; i < rows->count && !selected; i++)
		if (id_is(rows->all[i].life->id, rows->filter->select))
			selected = &rows->all[i];
	if (!selected)
		return -1;
	for (size_t i = 0; i < rows->count; i++)
		rank += order ? is_before(order, &rows->all[i], selected) :
				&rows->all[i] < selected;
	return rank;
}

/* The selected row is within the window: that moves no further than it must. */
static void choose_window(struct rows *rows)
{
	const struct filter *filter = rows->filter;
	size_t limit = filter->limit && filter->limit < rows->count ? filter->limit : rows->count;
	size_t begin = filter->offset, rank = rows->rank < 0 ? begin : (size_t)rows->rank;

	if (rank < begin)
		begin = rank;
	else if (rows->rank >= 0 && rank >= begin + limit)
		begin = rank - limit + 1;
	if (begin > rows->count - limit)
		begin = rows->count - limit;
	rows->begin = begin;
	rows->end = begin + limit;
}

static void choose_order(const struct rows *rows, enum column column, struct order *order)
{
	order->falling = column_infos[column].falling != rows->filter->reverse;
	order->late_first = rows->filter->view == VIEW_COW;
}

void rows_cut(struct rows *rows, enum column otherwise)
{
	bool tree = rows->filter->tree && !rows->filter->sort;
	enum column column = rows->filter->sort ? rows->filter->sort - 1 : otherwise;
	struct order order;

	choose_order(rows, column, &order);
	for (size_t i = 0; !tree && i < rows->count; i++)
		rows->all[i].key = column_key(column, rows, rows->all[i].life);
	rows->rank = rows->filter->select.pid ? find_rank(rows, tree ? NULL : &order) : -1;
	choose_window(rows);
	if (!tree)
		sort_window(rows->all, rows->count, rows->begin, rows->end, &order);
}

void rows_tell(const struct rows *rows, json_t *document)
{
	if (!rows->filter->limit)
		return;
	json_object_set_new(document, "total", json_integer((json_int_t)rows->count));
	json_object_set_new(document, "offset", json_integer((json_int_t)rows->begin));
	json_object_set_new(document, "rank",
			    rows->rank < 0 ? json_null() : json_integer(rows->rank));
}

static void keep_members(json_t *narrow, const json_t *row, const char *members)
{
	char name[32];

	for (size_t len; *members; members += len + (members[len] == ' ')) {
		len = strcspn(members, " ");
		if (len >= sizeof(name))
			continue;
		memcpy(name, members, len);
		name[len] = '\0';
		if (json_object_get(row, name))
			json_object_set(narrow, name, json_object_get(row, name));
	}
}

json_t *rows_narrow(const struct rows *rows, json_t *row)
{
	json_t *narrow;

	if (!rows->filter->columns || !(narrow = json_object()))
		return row;
	keep_members(narrow, row, "id pid comm state parent_id depth more_below");
	for (int column = 0; column < COLUMN_COUNT; column++)
		if (rows->filter->columns & 1ULL << column)
			keep_members(narrow, row, column_infos[column].members);
	json_decref(row);
	return narrow;
}

/* ---- the tree ---- */

static bool has_later_sibling(const struct life *life)
{
	return life->parent && life->sibling_next;
}

/* The one after it, depth first; NULL: none below the root. */
static const struct life *next_in_tree(const struct life *life, const struct life *root,
				       uint32_t *depth, uint64_t *more)
{
	const struct life *next = life->children;

	if (next) {
		++*depth;
	} else {
		for (; life != root && !life->sibling_next; life = life->parent)
			--*depth;
		if (life == root)
			return NULL;
		next = life->sibling_next;
	}
	if (*depth < DEPTH_MAX)
		*more = (*more & ((1ULL << *depth) - 1)) | (uint64_t)has_later_sibling(next)
								   << *depth;
	return next;
}

static void add_below(struct rows *rows, const struct life *root, row_wanted_fn wanted)
{
	const struct life *life = root;
	uint32_t depth = 0;
	uint64_t more = 0;

	for (; life; life = next_in_tree(life, root, &depth, &more)) {
		size_t count = rows->count;

		if (wanted(rows, life))
			rows_add(rows, life);
		if (rows->count == count)
			continue;
		rows->all[count].depth = depth;
		rows->all[count].more_below = more;
	}
}

static int by_birth(const void *a, const void *b)
{
	return life_order(&((const struct row *)a)->life, &((const struct row *)b)->life);
}

/* Siblings stand in the order in which they came to their parent. */
void rows_add_tree(struct rows *rows, row_wanted_fn wanted)
{
	struct rows roots = { 0 };
	const struct life *life;

	EACH_LIFE(rows->core, life)
		if (!life->parent && life->state != LT_REAPED)
			rows_new(&roots, life);
	if (roots.count)
		qsort(roots.all, roots.count, sizeof(*roots.all), by_birth);
	for (size_t i = 0; i < roots.count; i++)
		add_below(rows, roots.all[i].life, wanted);
	rows_free(&roots);
}
