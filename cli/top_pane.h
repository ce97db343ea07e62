/* SPDX-License-Identifier: GPL-2.0-only */
/* Beside the list: all that is known of the selected process, in lines. Draws nothing. */
#ifndef LT_TOP_PANE_H
#define LT_TOP_PANE_H

#include "top.h"

#define PANE_LINES_MAX 256

struct pane_line {
	char *text; /* malloced */
	enum tone tone;
};

struct pane {
	struct pane_line lines[PANE_LINES_MAX];
	int count;
};

/* Wrapped to so many columns. */
void pane_fill(struct pane *pane, const struct top *top, int columns);
void pane_free(struct pane *pane);

#endif
