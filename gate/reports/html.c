// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How does a history look as one HTML file?
 *
 * The file needs nothing from outside: styles, the few lines of script that sort the
 * tables, and the chart (SVG) are in it. Without a script the tables are as readable.
 */
#include <errno.h>
#include <stdlib.h>

#include "html.h"

static void put_text(FILE *f, const char *s)
{
	for (; *s; s++) {
		switch (*s) {
		case '&':
			fputs("&amp;", f);
			break;
		case '<':
			fputs("&lt;", f);
			break;
		case '>':
			fputs("&gt;", f);
			break;
		case '"':
			fputs("&quot;", f);
			break;
		default:
			fputc(*s, f);
		}
	}
}

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	"<meta name=\"viewport\" content=\"width=device-width\">\n"
	"<title>Exports and their consumers</title>\n<style>\n"
	"body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem "
	"auto;padding:0 1rem;"
	"color:#222;background:#fff}\n"
	"h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}\n"
	"table{border-collapse:collapse;width:100%}th,td{padding:.25rem "
	".6rem;text-align:right;"
	"border-bottom:1px solid #ddd}\n"
	"th:first-child,td:first-child,td.t,th.t{text-align:left}\n"
	"th{cursor:pointer;position:sticky;top:0;background:#f4f4f4}th:hover{background:#"
	"e4e4e4}\n"
	"td.t,code{overflow-wrap:anywhere}\n"
	"tr:hover td{background:#fafaf0}.bad{color:#a40000;font-weight:600}\n"
	"code{font-size:.9em}.key{display:inline-block;width:.8em;height:.8em;margin:0 "
	".3em 0 1em}\n"
	"</style></head><body>\n";

static const char script[] =
	"<script>\n"
	"document.querySelectorAll('table').forEach(function(t){\n"
	" t.querySelectorAll('th').forEach(function(h,i){var up=false;\n"
	"  h.onclick=function(){up=!up;var b=t.tBodies[0];\n"
	"   Array.from(b.rows).sort(function(x,y){var a=x.cells[i].textContent,"
	"c=y.cells[i].textContent,n=a-c;\n"
	"    var d=isNaN(n)?a.localeCompare(c):n;return up?-d:d;})\n"
	"   .forEach(function(r){b.appendChild(r);});};});});\n"
	"</script>\n";

#define IN_TIME  "#4c9f70"
#define LATE     "#e0a030"
#define WAITING  "#7fa7d0"
#define DANGLING "#b03030"

static void put_bar(FILE *f, const char *colour, u32 n, double scale, double *x, int y)
{
	if (!n)
		return;
	fprintf(f,
		"<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"16\" fill=\"%s\">"
		"<title>%u</title></rect>",
		*x, y, n * scale, colour, n);
	*x += n * scale;
}

static int by_added(const void *a, const void *b)
{
	const struct tally *x = *(const struct tally *const *)a;
	const struct tally *y = *(const struct tally *const *)b;

	if (x->added != y->added)
		return x->added > y->added ? -1 : 1;
	return strcmp(x->subsystem, y->subsystem);
}

#define CHART_ROWS 15u

/* What became of the exports that the busiest subsystems added. */
static void put_chart(FILE *f, const struct tallies *t)
{
	const struct tally **top = xcalloc(t->n + 1, sizeof(const struct tally *));
	size_t i, n = t->n < CHART_ROWS ? t->n : CHART_ROWS;
	double scale, x;

	for (i = 0; i < t->n; i++)
		top[i] = &t->v[i];
	qsort(top, t->n, sizeof(const struct tally *), by_added);
	while (n && !top[n - 1]->added)
		n--;
	if (n) {
		scale = 640.0 / top[0]->added;
		fprintf(f,
			"<h2>What became of added exports</h2>\n<p>"
			"<span class=\"key\" style=\"background:" IN_TIME
			"\"></span>in time"
			"<span class=\"key\" style=\"background:" LATE "\"></span>late"
			"<span class=\"key\" style=\"background:" WAITING
			"\"></span>may still come"
			"<span class=\"key\" style=\"background:" DANGLING
			"\"></span>dangling</p>\n"
			"<svg viewBox=\"0 0 900 %zu\" width=\"100%%\" role=\"img\" "
			"aria-label=\"added exports by subsystem\" font-size=\"13\">\n",
			n * 22 + 4);
	}
	for (i = 0; i < n; i++) {
		int y = (int)i * 22 + 2;

		fprintf(f, "<text x=\"205\" y=\"%d\" text-anchor=\"end\">", y + 13);
		put_text(f, top[i]->subsystem);
		fprintf(f, "</text>");
		x = 212;
		put_bar(f, IN_TIME, top[i]->in_time, scale, &x, y);
		put_bar(f, LATE, top[i]->late, scale, &x, y);
		put_bar(f, WAITING, top[i]->waiting, scale, &x, y);
		put_bar(f, DANGLING, top[i]->dangling, scale, &x, y);
		fprintf(f, "<text x=\"%.1f\" y=\"%d\">%u</text>\n", x + 5, y + 13,
			top[i]->added);
	}
	if (n)
		fputs("</svg>\n", f);
	free(top);
}

static void put_row(FILE *f, const struct tally *t)
{
	fputs("<tr><td>", f);
	put_text(f, t->subsystem);
	fprintf(f,
		"</td><td>%u</td><td>%u</td><td>%u</td><td>%u</td><td>%u</td>"
		"<td%s>%u</td><td>%u</td><td>%u</td><td>%u</td></tr>\n",
		t->exports, t->added, t->in_time, t->late, t->waiting,
		t->dangling ? " class=\"bad\"" : "", t->dangling, t->removed, t->unconsumed,
		t->not_gpl);
}

static const char tally_head[] =
	"<table><thead><tr><th>subsystem</th><th>exports</th><th>added</th><th>in time</th>"
	"<th>late</th><th>may still come</th><th>dangling</th><th>removed</th>"
	"<th>unconsumed</th><th>not GPL</th></tr></thead><tbody>\n";

static void put_due(FILE *f, const struct history *h, const struct policy *p)
{
	size_t i, n = 0;

	for (i = 0; i < h->exports.n; i++) {
		const struct past_export *e = &h->exports.v[i];

		if (!past_export_is_due(h, e, p->grace))
			continue;
		if (!n++)
			fputs("<h2>Reverts that are "
			      "due</h2>\n<table><thead><tr><th>symbol</th>"
			      "<th class=\"t\">subsystem</th><th class=\"t\">added in</th>"
			      "<th class=\"t\">place</th></tr></thead><tbody>\n",
			      f);
		fputs("<tr><td><code>", f);
		put_text(f, e->name);
		fputs("</code></td><td class=\"t\">", f);
		put_text(f, e->subsystem);
		fputs("</td><td class=\"t\">", f);
		put_text(f, h->releases.v[e->added]);
		fputs("</td><td class=\"t\"><code>", f);
		put_text(f, e->file);
		fprintf(f, ":%u</code></td></tr>\n", e->line);
	}
	if (n)
		fputs("</tbody></table>\n", f);
}

void history_html(const struct history *h, const struct policy *p, const char *file)
{
	struct tallies t = {0};
	struct tally total;
	FILE *f = fopen(file, "w");
	char more[16] = "";
	size_t i;

	if (!f)
		die("cannot write %s: %s", file, strerror(errno));
	history_tally(h, p, &t, &total);
	if (p->grace > 1)
		snprintf(more, sizeof(more), " %u", p->grace);
	fputs(head, f);
	fputs("<h1>Exports and their consumers, release by release</h1>\n<p>Releases:", f);
	for (i = 0; i < h->releases.n; i++) {
		fputs(i ? ", " : " ", f);
		put_text(f, h->releases.v[i]);
	}
	fprintf(f,
		". \"Added\" counts exports that came after the first of them; their "
		"consumer is "
		"in time if it came in the same release or in the next%s. Click a "
		"column "
		"to sort by it.</p>\n",
		more);
	put_chart(f, &t);
	fputs("<h2>By subsystem</h2>\n", f);
	fputs(tally_head, f);
	for (i = 0; i < t.n; i++)
		put_row(f, &t.v[i]);
	fputs("</tbody><tfoot>", f);
	put_row(f, &total);
	fputs("</tfoot></table>\n", f);
	put_due(f, h, p);
	fputs(script, f);
	fputs("</body></html>\n", f);
	if (fclose(f))
		die("cannot write %s: %s", file, strerror(errno));
	free(t.v);
}
