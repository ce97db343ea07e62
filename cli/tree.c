// SPDX-License-Identifier: GPL-2.0-only
/* tree: processes below their parents; the lately reaped where they stood. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "core/text.h"
#include "print.h"

#define DEPTH_MAX 24 /* deeper ones are not indented further */

struct node {
	json_t *row;
	struct node *parent, *child, *next; /* the first child; the next sibling */
	struct node *last_child;
};

struct tree {
	struct node *nodes;
	size_t count;
	struct node top; /* what is below nobody */
	uint64_t now_ns;
};

static void add_below(struct node *parent, struct node *node)
{
	node->parent = parent;
	if (parent->last_child)
		parent->last_child->next = node;
	else
		parent->child = node;
	parent->last_child = node;
}

static bool is_below(const struct node *node, const struct node *ancestor)
{
	while (node && node != ancestor)
		node = node->parent;
	return node;
}

/* Rows come in the order of birth, and so stand those below one parent. */
static void link_nodes(struct tree *tree, json_t *by_id)
{
	for (size_t i = 0; i < tree->count; i++) {
		struct node *node = &tree->nodes[i], *parent = &tree->top;
		const char *id = json_string_value(json_object_get(node->row, "parent_id"));
		const json_t *at = id ? json_object_get(by_id, id) : NULL;

		if (at && !is_below(&tree->nodes[json_integer_value(at)], node))
			parent = &tree->nodes[json_integer_value(at)];
		add_below(parent, node);
	}
}

/* Returns false when there is no memory. */
static bool build(struct tree *tree, const json_t *rows)
{
	json_t *by_id = json_object(), *row;
	size_t i;

	tree->count = json_array_size(rows);
	tree->nodes = calloc(tree->count + 1, sizeof(*tree->nodes));
	if (!tree->nodes || !by_id) {
		json_decref(by_id);
		return false;
	}
	json_array_foreach(rows, i, row) {
		tree->nodes[i].row = row;
		json_object_set_new(by_id, json_string_value(json_object_get(row, "id")) ?: "",
				    json_integer((json_int_t)i));
	}
	link_nodes(tree, by_id);
	json_decref(by_id);
	return true;
}

/* Whoever has the pid now, or had it last. */
static struct node *find_pid(const struct tree *tree, uint64_t pid)
{
	struct node *found = NULL;

	for (size_t i = 0; i < tree->count; i++)
		if (number(tree->nodes[i].row, "pid") == pid)
			found = &tree->nodes[i];
	return found;
}

/* ---- as text ---- */

static void state_text(const json_t *row, uint64_t now_ns, char text[CELL_SIZE])
{
	const char *state = json_string_value(json_object_get(row, "state")) ?: "-";
	bool reaped = !strcmp(state, "reaped"), zombie = !strcmp(state, "zombie");
	uint64_t since_ns = number(row, reaped ? "reaped_ns" : zombie ? "zombie_ns" : "start_ns");
	char age[TEXT_AGE_SIZE], end[CELL_SIZE];

	text_format_age(now_ns > since_ns ? now_ns - since_ns : 0, age);
	exit_text(row, end);
	if (reaped)
		snprintf(text, CELL_SIZE, "%.64s, reaped %s ago", end, age);
	else if (zombie)
		snprintf(text, CELL_SIZE, "zombie for %s, %.64s", age, end);
	else
		snprintf(text, CELL_SIZE, "%.32s, %s", state, age);
}

/* Whose child it was before somebody adopted it; "" for the others. */
static void adoption_text(const json_t *row, char text[CELL_SIZE])
{
	char first[CELL_SIZE];

	*text = '\0';
	if (json_is_true(json_object_get(row, "orphan")))
		snprintf(text, CELL_SIZE, ", adopted, first of %.64s",
			 member(row, "first_parent_id", first));
}

static enum colour colour_of(const json_t *row)
{
	const char *state = json_string_value(json_object_get(row, "state")) ?: "";

	if (!strcmp(state, "zombie"))
		return json_is_true(json_object_get(row, "flagged")) ? RED : YELLOW;
	return !strcmp(state, "reaped") ? DIM : PLAIN;
}

static void print_branch(const struct node *node, const struct node *root)
{
	const struct node *path[DEPTH_MAX];
	int depth = 0;

	for (const struct node *at = node; at != root && at->parent->row && depth < DEPTH_MAX;
	     at = at->parent)
		path[depth++] = at;
	while (depth-- > 1)
		fputs(path[depth]->next ? "│  " : "   ", stdout);
	if (node != root && node->parent->row)
		fputs(node->next ? "├─ " : "└─ ", stdout);
}

static void print_node(const struct tree *tree, const struct node *node, const struct node *root)
{
	char command[CELL_SIZE], state[CELL_SIZE], adoption[CELL_SIZE];
	enum colour colour = colour_of(node->row);

	command_text(node->row, command);
	state_text(node->row, tree->now_ns, state);
	adoption_text(node->row, adoption);
	print_branch(node, root);
	printf("%" PRIu64 " %.120s  %s%s%s%s\n", number(node->row, "pid"), command,
	       colour_on(colour), state, adoption, colour_off());
}

/* The one after it, in the order of the lines; NULL: none below root. */
static const struct node *next_line(const struct node *node, const struct node *root)
{
	if (node->child)
		return node->child;
	while (node != root && !node->next)
		node = node->parent;
	return node == root ? NULL : node->next;
}

static void print_below(const struct tree *tree, const struct node *root)
{
	for (const struct node *node = root; node; node = next_line(node, root))
		if (node->row)
			print_node(tree, node, root);
}

/* ---- as JSON: a row, with those below it as an array ---- */

/* Whoever comes later was handled before: each finds its own array whole. */
static json_t *nest(const struct tree *tree, const struct node *root)
{
	json_t *processes = json_array();

	for (size_t i = tree->count; i-- > 0;)
		json_object_set_new(tree->nodes[i].row, "below", json_array());
	for (size_t i = 0; i < tree->count; i++) {
		const struct node *node = &tree->nodes[i];
		json_t *parent = node->parent->row;

		if (parent)
			json_array_append(json_object_get(parent, "below"), node->row);
	}
	if (root->row)
		json_array_append(processes, root->row);
	else
		for (const struct node *node = root->child; node; node = node->next)
			json_array_append(processes, node->row);
	return json_pack("{s:I,s:o}", "time_ns", (json_int_t)tree->now_ns, "processes", processes);
}

static int show(const struct tree *tree, const struct node *root, const struct options *options)
{
	json_t *document;
	int status;

	if (!options->json) {
		print_below(tree, root);
		return DONE;
	}
	document = nest(tree, root);
	status = print_json(document);
	json_decref(document);
	return status;
}

int show_tree(const struct options *options, struct source *source)
{
	struct options all = *options; /* all rows, and the same moment of a recording */
	struct tree tree = { 0 };
	const struct node *root = &tree.top;
	json_t *document;
	int status;

	all.filter = (struct filter){ .all = true, .kernel = options->filter.kernel };
	strcpy(all.query, all.filter.kernel ? "all=1&kernel=1" : "all=1");
	status = source->ops->get(source, &all, "processes", &document);
	if (status)
		return status;
	tree.now_ns = number(document, "time_ns");
	if (!build(&tree, json_object_get(document, "processes"))) {
		complain("out of memory");
		status = FAILED;
	} else if (options->filter.has_pid && !(root = find_pid(&tree, options->filter.pid))) {
		complain("no process with pid %" PRIu64, options->filter.pid);
		status = FAILED;
	} else {
		status = show(&tree, root, options);
	}
	free(tree.nodes);
	json_decref(document);
	return status;
}
