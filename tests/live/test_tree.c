/*
 * tree: who is below whom, against /proc; the reaped where they stood, the
 * adopted with whom they had first.
 */
#include "run.h"

/* The node of PID below NODES, the last of that pid; and its parent's row. */
static json_t *find_node(json_t *nodes, json_t *above, pid_t pid, json_t **parent)
{
	json_t *node, *found = NULL;
	size_t i;

	json_array_foreach(nodes, i, node) {
		json_t *deeper = find_node(json_object_get(node, "below"), node, pid, parent);

		if (int_at(node, "pid") == pid) {
			found = node;
			*parent = above;
		}
		found = deeper ? deeper : found;
	}
	return found;
}

static json_t *node_of(json_t *document, pid_t pid, json_t **parent)
{
	*parent = NULL;
	return find_node(json_at(document, "processes"), NULL, pid, parent);
}

static bool node_is(struct lt *lt, pid_t pid, pid_t parent_pid, const char *words)
{
	json_t *document = lt__json(lt, NULL, "tree", NULL), *parent;
	json_t *node = node_of(document, pid, &parent);
	bool is = node && json_matches(node, words) && parent &&
		  int_at(parent, "pid") == parent_pid;

	json_decref(document);
	return is;
}

LT_TEST(tree, zombie_stands_below_its_parent)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast = cast__start("zombie", NULL);
	pid_t child, parent;

	cast__hold(cast, "zombie");
	child = (pid_t)cast__int(cast, "child", 0);
	parent = cast__pid(cast);
	lt_await(node_is(lt, child, parent, "state=zombie"), "%d is no zombie below %d", child,
		 parent);
	lt_await(node_is(lt, parent, getpid(), "state=running"), "%d is not below this test",
		 parent);
	cast__go(cast);
	cast__hold(cast, "reaped");
	lt_await(node_is(lt, child, parent, "state=reaped"), "%d is not shown reaped below %d",
		 child, parent);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(tree, adopted_ones_name_their_first_parent)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast = cast__start("orphan", "subreaper", NULL);
	struct output output;
	json_t *row;
	char pid[16];

	cast__hold(cast, "born");
	cast__go(cast);
	cast__hold(cast, "adopted");
	snprintf(pid, sizeof(pid), "%s", cast__str(cast, "child", 0));
	row = lt__await_row(lt, "ps", atoi(pid), "orphan=true");
	lt_await(node_is(lt, atoi(pid), (pid_t)int_at(row, "ppid"), "orphan=true"),
		 "%s is not below who adopted it", pid);
	lt__run(lt, &output, "tree", pid, NULL);
	cr_expect(strstr(output.out, "adopted, first of ") &&
			  strstr(output.out, str_at(row, "first_parent_id")),
		  "%s", output.out);
	output__free(&output);
	json_decref(row);
	cast__free(cast);
	lt__stop(lt);
}

/* Each living process stands below the parent that /proc names. */
static bool agrees_with_proc(json_t *nodes, json_t *above, int *seen)
{
	json_t *node;
	size_t i;

	json_array_foreach(nodes, i, node) {
		struct proc proc;

		if (strcmp(str_at(node, "state"), "reaped") &&
		    proc__read((pid_t)int_at(node, "pid"), &proc)) {
			if (proc.ppid != (above ? int_at(above, "pid") : 0))
				return false;
			++*seen;
		}
		if (!agrees_with_proc(json_object_get(node, "below"), node, seen))
			return false;
	}
	return true;
}

static bool tree_is_that_of_proc(struct lt *lt, int *seen)
{
	json_t *document = lt__json(lt, NULL, "tree", "--kernel", NULL);
	bool agrees;

	*seen = 0;
	agrees = agrees_with_proc(json_at(document, "processes"), NULL, seen);
	json_decref(document);
	return agrees;
}

LT_TEST(tree, is_that_of_proc)
{
	struct lt *lt = lt__start(NULL);
	int seen;

	lt_await(tree_is_that_of_proc(lt, &seen), "the tree is not that of /proc");
	cr_expect(seen > 10, "only %d processes", seen);
	lt__stop(lt);
}

LT_TEST(tree, of_one_process)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast = cast__start("zombie", "3", NULL);
	struct output output;
	char pid[16], line[32];
	int lines = 0;

	cast__hold(cast, "zombie");
	json_decref(
		lt__await_row(lt, "zombies", (pid_t)cast__int(cast, "child", 2), "state=zombie"));
	snprintf(pid, sizeof(pid), "%d", cast__pid(cast));
	lt__run(lt, &output, "tree", pid, NULL);
	cr_expect(output.code == 0, "exit %d: %s", output.code, output.err);
	for (const char *p = output.out; (p = strchr(p, '\n')); p++)
		lines++;
	cr_expect(lines == 4, "not four lines: %s", output.out);
	for (int i = 0; i < 3; i++) {
		snprintf(line, sizeof(line), "%s %s ", i < 2 ? "├─" : "└─",
			 cast__str(cast, "child", i));
		cr_expect(strstr(output.out, line), "no \"%s\" in %s", line, output.out);
	}
	output__free(&output);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(tree, bad_words)
{
	struct lt *lt = lt__start(NULL);

	require_complaint(ARGV(LIFETRACE, "tree", "--socket", lt__socket(lt), "2147483647"), 1,
			  "2147483647");
	require_complaint(ARGV(LIFETRACE, "tree", "--socket", lt__socket(lt), "x1"), 2, "x1");
	require_complaint(ARGV(LIFETRACE, "tree", "--socket", lt__socket(lt), "1", "2"), 2, "2");
	require_complaint(ARGV(LIFETRACE, "tree", "--older", "1s"), 2, "--older");
	lt__stop(lt);
}
