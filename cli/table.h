/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables for people: columns that line up, colours and a progress line on a terminal
 * only. NO_COLOR (no-color.org) and TERM=dumb turn colours off.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum table_style {
	TABLE_PLAIN,
	TABLE_GOOD,  /* green */
	TABLE_WARN,  /* yellow */
	TABLE_BAD,   /* red */
	TABLE_FAINT, /* grey */
	TABLE_HEAD,  /* bold */
};

struct table;

/**
 * table_create - an empty table; NULL when there is no memory
 * @align: a letter a column: 'l' left, 'r' right
 */
struct table *table_create(const char *align);
void table_destroy(struct table *table);

/* The next cell of the table, row by row; formatted text, cut at 255 bytes. */
void table_cell(struct table *table, enum table_style style, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A line of text above the next row, in bold; it does not widen the columns. */
void table_heading(struct table *table, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The next cell, left-aligned over @columns columns; it does not widen them. */
void table_span(struct table *table, unsigned int columns, const char *text);

/* A line across the table. */
void table_rule(struct table *table);

/* Print it; false when a cell was lost for lack of memory or the output failed. */
bool table_print(const struct table *table, FILE *out);

/* 1234567 -> "1,234,567"; the result lives in one of 8 static buffers (one thread). */
const char *table_number(uint64_t value);

/* Text in a style, as far as @out takes colours. */
void table_text(FILE *out, enum table_style style, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Words that fit @width columns a line, each line behind @indent spaces. */
void table_wrap(FILE *out, int indent, int width, const char *text);

/* A line on stderr that the next one overwrites; nothing unless it is a terminal. */
void table_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
void table_progress_done(void);

#endif
