/* SPDX-License-Identifier: GPL-2.0-only */
/* A cell of each column of core/columns.h as people read it. Draws nothing. */
#ifndef LT_CLI_COLUMNS_H
#define LT_CLI_COLUMNS_H

#include "core/columns.h"
#include "print.h"

/* Text made safe for a terminal; "-" for what is not known. */
void column_cell(enum column column, const json_t *row, uint64_t now_ns, char cell[CELL_SIZE]);
/* The manual's table of all of them, in Markdown, to stdout. */
void document_columns(void);

#endif
