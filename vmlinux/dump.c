// SPDX-License-Identifier: GPL-2.0
/*
 * Writes the C of the listed types of a BTF file, and of all that they hold by value: what
 * `bpftool btf dump ... format c` does for every type of a kernel, with the same code of libbpf.
 *
 *	dump BTF-FILE TYPES-FILE		the header's types
 *	dump --check BTF-FILE TYPES-FILE	assertions on the size and offsets of the listed structs
 *
 * Part of vmlinux/generate; the build of lifetrace does not need it.
 */
#include <bpf/btf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct root {
	char kind[16];
	char name[96];
	bool optional;
};

static void print_type(void *ctx, const char *fmt, va_list args)
{
	(void)ctx;
	vprintf(fmt, args);
}

static bool has_enumerator(const struct btf *btf, const struct btf_type *t, const char *name)
{
	for (int i = 0; i < btf_vlen(t); i++) {
		__u32 off = btf_is_enum(t) ? btf_enum(t)[i].name_off : btf_enum64(t)[i].name_off;

		if (!strcmp(btf__name_by_offset(btf, off), name))
			return true;
	}
	return false;
}

static bool is_kind(const struct btf_type *t, const char *kind)
{
	return (!strcmp(kind, "struct") && btf_is_struct(t)) ||
	       (!strcmp(kind, "union") && btf_is_union(t)) ||
	       (!strcmp(kind, "typedef") && btf_is_typedef(t)) ||
	       (!strcmp(kind, "enum") && btf_is_any_enum(t));
}

static bool is_root(const struct btf *btf, const struct btf_type *t, const struct root *root)
{
	if (!strcmp(root->kind, "enumerator"))
		return btf_is_any_enum(t) && has_enumerator(btf, t, root->name);
	return is_kind(t, root->kind) && !strcmp(btf__name_by_offset(btf, t->name_off), root->name);
}

/*
 * Returns the type's id, 0 if there is none. Two types of one name (drivers have their own
 * "struct path") would make the choice a matter of luck: that is an error, -EEXIST.
 */
static int find_root(const struct btf *btf, const struct root *root)
{
	int found = 0;

	for (__u32 id = 1; id < btf__type_cnt(btf); id++) {
		if (!is_root(btf, btf__type_by_id(btf, id), root))
			continue;
		if (found)
			return -EEXIST;
		found = (int)id;
	}
	return found;
}

/* Returns 1 for a root, 0 for an empty line or a comment, negative for a line that is neither. */
static int parse_root(const char *line, struct root *root)
{
	char mark[2] = "";
	int n;

	*root = (struct root){};
	n = sscanf(line, "%15s %95s %1s", root->kind, root->name, mark);
	if (n <= 0 || root->kind[0] == '#')
		return 0;
	root->optional = n == 3 && mark[0] == '?';
	return n == 2 || root->optional ? 1 : -EINVAL;
}

static int emit_check(const struct btf *btf, int id)
{
	const struct btf_type *t = btf__type_by_id(btf, (__u32)id);
	const char *name = btf__name_by_offset(btf, t->name_off);

	if (!btf_is_struct(t))
		return 0;
	printf("_Static_assert(sizeof(struct %s) == %u, \"size of %s\");\n", name, t->size, name);
	for (int i = 0; i < btf_vlen(t); i++) {
		const char *member = btf__name_by_offset(btf, btf_members(t)[i].name_off);
		unsigned int offset = btf_member_bit_offset(t, (__u32)i);

		if (!*member || btf_member_bitfield_size(t, (__u32)i))
			continue;
		printf("_Static_assert(__builtin_offsetof(struct %s, %s) == %u, \"%s.%s\");\n",
		       name, member, offset / 8, name, member);
	}
	return 0;
}

static int emit_roots(const struct btf *btf, struct btf_dump *dump, FILE *types)
{
	char line[256];
	int err = 0;

	while (!err && fgets(line, sizeof(line), types)) {
		struct root root;
		int id;

		err = parse_root(line, &root);
		if (err <= 0) {
			if (err)
				fprintf(stderr, "dump: not a type: %s", line);
			continue;
		}
		id = find_root(btf, &root);
		if (id == 0 && root.optional) {
			err = 0;
			continue;
		}
		if (id <= 0) {
			fprintf(stderr, "dump: %s type: %s", id ? "more than one" : "no such",
				line);
			return -ENOENT;
		}
		err = dump ? btf_dump__dump_type(dump, (__u32)id) : emit_check(btf, id);
		if (err)
			fprintf(stderr, "dump: %s: %s", strerror(-err), line);
	}
	return err;
}

int main(int argc, char **argv)
{
	bool check = argc == 4 && !strcmp(argv[1], "--check");
	struct btf_dump *dump = NULL;
	struct btf *btf;
	FILE *types;
	int err = 1;

	if (argc != 3 && !check) {
		fprintf(stderr, "usage: dump [--check] BTF-FILE TYPES-FILE\n");
		return 2;
	}
	btf = btf__parse(argv[argc - 2], NULL);
	types = fopen(argv[argc - 1], "re");
	if (btf && types && !check)
		dump = btf_dump__new(btf, print_type, NULL, NULL);
	if (!btf || !types || (!check && !dump))
		fprintf(stderr, "dump: cannot read %s or %s\n", argv[argc - 2], argv[argc - 1]);
	else
		err = emit_roots(btf, dump, types) != 0;
	btf_dump__free(dump);
	if (types)
		fclose(types);
	btf__free(btf);
	return err;
}
