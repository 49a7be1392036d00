// SPDX-License-Identifier: GPL-2.0-or-later
/* What do built objects export and import? */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <gelf.h>
#include <stdlib.h>
#include <unistd.h>

#include "built.h"

static struct elf_symbol *symbol_of(struct built *b, const char *name)
{
	u32 *at = map_get(&b->index, hash_str(name), UINT32_MAX);
	struct elf_symbol fresh = {
		.kind = "", .ns = "", .module = "", .first_importer = UINT32_MAX};

	if (*at == UINT32_MAX) {
		*at = b->symbols.n;
		fresh.name = arena_strndup(&b->arena, name, strlen(name));
		vec_push(&b->symbols, fresh);
	}
	return &b->symbols.v[*at];
}

/* crc <tab> symbol <tab> module <tab> kind <tab> namespace */
static void read_symvers(struct built *b, const char *path)
{
	char *text = read_file(path, NULL), *line, *save = NULL;

	if (!text)
		return;
	b->symvers = true;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *field[5] = {0}, *p = line;
		struct elf_symbol *s;
		int n;

		for (n = 0; n < 5 && p; n++)
			field[n] = strsep(&p, "\t");
		if (!field[3])
			continue;
		s = symbol_of(b, field[1]);
		s->module = arena_strndup(&b->arena, field[2], strlen(field[2]));
		s->kind = arena_strndup(&b->arena, field[3], strlen(field[3]));
		if (field[4])
			s->ns = arena_strndup(&b->arena, field[4], strlen(field[4]));
	}
	free(text);
}

/* ---------------------------------------------------------------- objects ---------- */

static void take_symbol(struct built *b, u32 object, const GElf_Sym *sym, const char *name,
			bool shared)
{
	struct import imp = {.name = hash_str(name), .object = object};
	struct elf_symbol *s;
	int bind = GELF_ST_BIND(sym->st_info);

	if (!*name || bind == STB_LOCAL)
		return;
	if (sym->st_shndx == SHN_UNDEF) {
		vec_push(&b->imports, imp);
		return;
	}
	if (has_prefix(name, "__ksymtab_") && !b->symvers) {
		s = symbol_of(b, name + strlen("__ksymtab_"));
		s->module = b->objects.v[object];
		s->kind = "EXPORT_SYMBOL";
	} else if (shared && GELF_ST_VISIBILITY(sym->st_other) == STV_DEFAULT) {
		s = symbol_of(b, name);
		s->module = b->objects.v[object];
		s->kind = "dynamic";
	}
}

/* __ksymtab_ entries are local symbols in kernels before 6.4, and in others again. */
static void take_local(struct built *b, u32 object, const GElf_Sym *sym, const char *name)
{
	struct elf_symbol *s;

	if (b->symvers || GELF_ST_BIND(sym->st_info) != STB_LOCAL ||
	    sym->st_shndx == SHN_UNDEF || !has_prefix(name, "__ksymtab_"))
		return;
	s = symbol_of(b, name + strlen("__ksymtab_"));
	s->module = b->objects.v[object];
	s->kind = "EXPORT_SYMBOL";
}

static void read_table(struct built *b, u32 object, Elf *elf, Elf_Scn *scn,
		       const GElf_Shdr *sh, bool shared)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t i, n;
	GElf_Sym sym;

	if (!data || !sh->sh_entsize)
		return;
	n = sh->sh_size / sh->sh_entsize;
	for (i = 1; i < n && gelf_getsym(data, i, &sym); i++) {
		const char *name = elf_strptr(elf, sh->sh_link, sym.st_name);

		if (!name)
			continue;
		take_symbol(b, object, &sym, name, shared);
		take_local(b, object, &sym, name);
	}
}

static void read_elf(struct built *b, Elf *elf, u32 object)
{
	Elf_Scn *scn = NULL;
	GElf_Ehdr eh;
	GElf_Shdr sh;
	bool shared;

	if (!gelf_getehdr(elf, &eh))
		return;
	shared = eh.e_type == ET_DYN;
	while ((scn = elf_nextscn(elf, scn)))
		if (gelf_getshdr(scn, &sh) &&
		    sh.sh_type == (shared ? SHT_DYNSYM : SHT_SYMTAB))
			read_table(b, object, elf, scn, &sh, shared);
}

static void read_object(struct built *b, const char *path, const char *rel)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const char *dot = strrchr(rel, '.');
	size_t n = dot && !strcmp(dot, ".ko") ? (size_t)(dot - rel) : strlen(rel);
	Elf *elf;

	if (fd < 0) {
		warn("cannot read %s: %s; it is left out", path, strerror(errno));
		return;
	}
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	if (!elf || elf_kind(elf) != ELF_K_ELF) {
		if (!strstr(rel, ".so"))
			warn("%s is no ELF object; it is left out", path);
	} else {
		vec_push(&b->objects, arena_strndup(&b->arena, rel, n));
		read_elf(b, elf, b->objects.n - 1);
	}
	elf_end(elf);
	close(fd);
}

static bool is_object(const char *name)
{
	return has_suffix(name, ".ko") || has_suffix(name, ".o") ||
	       has_suffix(name, ".so") || strstr(name, ".so.") || !strchr(name, '.');
}

static bool is_compressed(const char *name)
{
	return has_suffix(name, ".ko.xz") || has_suffix(name, ".ko.zst") ||
	       has_suffix(name, ".ko.gz");
}

static void count_importers(struct built *b)
{
	size_t i;
	u32 *at;

	for (i = 0; i < b->imports.n; i++) {
		const struct import *imp = &b->imports.v[i];
		struct elf_symbol *s;

		at = map_find(&b->index, imp->name);
		if (!at)
			continue;
		s = &b->symbols.v[*at];
		if (same_module(s->module, b->objects.v[imp->object]))
			continue;
		s->importers++;
		if (s->first_importer == UINT32_MAX)
			s->first_importer = imp->object;
	}
}

/* A program without suffix counts as an object only if it is one. */
static bool begins_as_elf(const char *path)
{
	char magic[4] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool is;

	if (fd < 0)
		return false;
	is = read(fd, magic, 4) == 4 && !memcmp(magic, ELFMAG, SELFMAG);
	close(fd);
	return is;
}

void built_read(struct built *b, const char *dir)
{
	char *copy = xstrdup(dir), *paths[2] = {copy, NULL}, *symvers;
	size_t skip;
	FTSENT *e;
	FTS *fts;

	memset(b, 0, sizeof(*b));
	elf_version(EV_CURRENT);
	symvers = xasprintf("%s/Module.symvers", dir);
	read_symvers(b, symvers);
	free(symvers);
	symvers = xasprintf("%s/../Module.symvers", dir);
	if (!b->symvers)
		read_symvers(b, symvers);
	free(symvers);
	while (strlen(copy) > 1 && has_suffix(copy, "/"))
		copy[strlen(copy) - 1] = '\0';
	skip = strlen(copy) + 1;
	if (access(dir, R_OK | X_OK) ||
	    !(fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL)))
		die("cannot read folder %s: %s", dir, strerror(errno));
	while ((e = fts_read(fts))) {
		if (e->fts_info != FTS_F)
			continue;
		if (is_compressed(e->fts_name))
			b->compressed++;
		else if (is_object(e->fts_name) &&
			 (strchr(e->fts_name, '.') || begins_as_elf(e->fts_path)))
			read_object(b, e->fts_path, e->fts_path + skip);
	}
	fts_close(fts);
	free(copy);
	if (b->compressed)
		die("%u modules below %s are compressed; unpack them first (xz -d, zstd "
		    "-d)",
		    b->compressed, dir);
	count_importers(b);
}

void built_free(struct built *b)
{
	free(b->symbols.v);
	free(b->objects.v);
	free(b->imports.v);
	map_free(&b->index);
	arena_free(&b->arena);
}

bool built_imports(const struct built *b, const char *symbol)
{
	const u32 *at = map_find(&b->index, hash_str(symbol));

	return at && b->symbols.v[*at].importers;
}

bool same_module(const char *a, const char *b)
{
	const char *x = strrchr(a, '/'), *y = strrchr(b, '/');

	x = x ? x + 1 : a;
	y = y ? y + 1 : b;
	for (; *x && *y; x++, y++)
		if (*x != *y && !(strchr("-_", *x) && strchr("-_", *y)))
			return false;
	return *x == *y;
}
