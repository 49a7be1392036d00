// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * How is a table shown to a person: what lines up, what is coloured, and when not?
 */
#include "table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CELL_MAX 256

struct cell {
	enum table_style style;
	unsigned int span; /* columns that it covers; 0: covered by one before */
	char *text;        /* NULL: the row is a rule */
	char *heading;     /* a line above the row; only in its first cell */
};

struct table {
	unsigned int columns;
	char *align;
	struct cell *cells;
	size_t count, room;
	char *heading; /* of the next row */
	bool lost;     /* a cell did not fit into memory */
};

static const char *const escapes[] = {
	[TABLE_PLAIN] = "",       [TABLE_GOOD] = "\033[32m", [TABLE_WARN] = "\033[33m",
	[TABLE_BAD] = "\033[31m", [TABLE_FAINT] = "\033[2m", [TABLE_HEAD] = "\033[1m",
};

static bool has_colours(FILE *out)
{
	const char *no = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	if ((no && *no) || !term || !strcmp(term, "dumb"))
		return false;
	return isatty(fileno(out)) == 1;
}

struct table *table_create(const char *align)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->columns = (unsigned int)strlen(align);
	table->align = strdup(align);
	if (!table->align) {
		free(table);
		return NULL;
	}
	return table;
}

void table_destroy(struct table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->count; i++) {
		free(table->cells[i].text);
		free(table->cells[i].heading);
	}
	free(table->heading);
	free(table->cells);
	free(table->align);
	free(table);
}

static void add_cell(struct table *table, enum table_style style, unsigned int span,
		     const char *text)
{
	struct cell *cells = table->cells;
	char *copy = text ? strdup(text) : NULL;

	if (table->count == table->room) {
		size_t room = table->room ? 2 * table->room : 64;

		cells = reallocarray(cells, room, sizeof(*cells));
		if (cells) {
			table->cells = cells;
			table->room = room;
		}
	}
	if (!cells || (text && !copy)) {
		free(copy);
		table->lost = true;
		return;
	}
	cells[table->count++] = (struct cell){style, span, copy, table->heading};
	table->heading = NULL;
}

void table_cell(struct table *table, enum table_style style, const char *format, ...)
{
	char text[CELL_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	add_cell(table, style, 1, text);
}

void table_heading(struct table *table, const char *format, ...)
{
	va_list args;

	free(table->heading);
	va_start(args, format);
	if (vasprintf(&table->heading, format, args) < 0) {
		table->heading = NULL;
		table->lost = true;
	}
	va_end(args);
}

void table_span(struct table *table, unsigned int columns, const char *text)
{
	add_cell(table, TABLE_HEAD, columns, text);
	for (unsigned int i = 1; i < columns; i++)
		add_cell(table, TABLE_PLAIN, 0, "");
}

void table_rule(struct table *table)
{
	for (unsigned int i = 0; i < table->columns; i++)
		add_cell(table, TABLE_PLAIN, 1, NULL);
}

static void measure(const struct table *table, int *widths)
{
	for (size_t i = 0; i < table->count; i++) {
		const char *text = table->cells[i].text;
		int *width = &widths[i % table->columns];

		if (text && table->cells[i].span == 1 && (int)strlen(text) > *width)
			*width = (int)strlen(text);
	}
}

#define GAP 2 /* between columns */

static int span_width(const struct table *table, const int *widths, size_t i)
{
	int width = -GAP;

	for (unsigned int n = 0; n < table->cells[i].span; n++)
		width += widths[i % table->columns + n] + GAP;
	return width;
}

static void print_cell(const struct table *table, const int *widths, size_t i, FILE *out)
{
	const struct cell *cell = &table->cells[i];
	unsigned int column = i % table->columns;
	bool last = column + cell->span == table->columns;
	int width = span_width(table, widths, i), pad;

	if (!cell->text) {
		for (int dash = 0; dash < width + (last ? 0 : GAP); dash++)
			fputc('-', out);
		return;
	}
	pad = width - (int)strlen(cell->text);
	if (pad > 0 && cell->span == 1 && table->align[column] == 'r')
		fprintf(out, "%*s", pad, "");
	table_text(out, cell->style, "%s", cell->text);
	if (last)
		return;
	if (pad > 0 && (cell->span > 1 || table->align[column] == 'l'))
		fprintf(out, "%*s", pad, "");
	fprintf(out, "%*s", GAP, "");
}

bool table_print(const struct table *table, FILE *out)
{
	int *widths = calloc(table->columns, sizeof(*widths));

	if (!widths)
		return false;
	measure(table, widths);
	for (size_t i = 0; i < table->count; i++) {
		if (table->cells[i].heading)
			table_text(out, TABLE_HEAD, "%s\n", table->cells[i].heading);
		if (table->cells[i].span)
			print_cell(table, widths, i, out);
		if ((i + 1) % table->columns == 0)
			fputc('\n', out);
	}
	free(widths);
	return !table->lost && !ferror(out);
}

const char *table_number(uint64_t value)
{
	static char buffers[8][32];
	static unsigned int next;
	char *to = buffers[next++ % 8] + 31;
	unsigned int digits = 0;

	*to = '\0';
	do {
		if (digits && digits % 3 == 0)
			*--to = ',';
		*--to = (char)('0' + value % 10);
		value /= 10;
		digits++;
	} while (value);
	return to;
}

void table_text(FILE *out, enum table_style style, const char *format, ...)
{
	bool coloured = style != TABLE_PLAIN && has_colours(out);
	va_list args;

	if (coloured)
		fputs(escapes[style], out);
	va_start(args, format);
	vfprintf(out, format, args);
	va_end(args);
	if (coloured)
		fputs("\033[0m", out);
}

void table_wrap(FILE *out, int indent, int width, const char *text)
{
	int column = 0;

	while (*text) {
		int word = (int)strcspn(text, " \n");

		if (column && column + 1 + word > width - indent) {
			fputc('\n', out);
			column = 0;
		}
		if (word) {
			fprintf(out, "%*s%.*s", column ? 1 : indent, "", word, text);
			column += word + (column ? 1 : 0);
		}
		text += word;
		text += strspn(text, " \n");
	}
	fputc('\n', out);
}

static bool has_progress(void)
{
	const char *term = getenv("TERM");

	return term && strcmp(term, "dumb") != 0 && isatty(STDERR_FILENO) == 1;
}

void table_progress(const char *format, ...)
{
	va_list args;

	if (!has_progress())
		return;
	fputs("\r\033[K", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fflush(stderr);
}

void table_progress_done(void)
{
	if (!has_progress())
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
}
