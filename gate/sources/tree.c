// SPDX-License-Identifier: GPL-2.0-or-later
/* Which files does the tree hold, and what is in them? */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <git2.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tree.h"

static bool is_makefile(const char *base)
{
	return !strcmp(base, "Makefile") || !strcmp(base, "Kbuild") ||
	       !strcmp(base, "GNUmakefile") || !strcmp(base, "makefile") ||
	       has_prefix(base, "Makefile.") || has_prefix(base, "Kbuild.") ||
	       has_suffix(base, ".mk") || !strcmp(base, "meson.build") ||
	       !strcmp(base, "CMakeLists.txt");
}

static bool is_script(const char *dot)
{
	static const char *const ends[] = {".map",  ".sym",     ".ver",     ".vers",
					   ".syms", ".exports", ".symbols", ".lds",
					   ".num",  ".version"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ends); i++)
		if (!strcmp(dot, ends[i]))
			return true;
	return false;
}

/* What a build system makes others of, and its own files: read for libraries only. */
static enum file_kind build_kind_of(const char *base)
{
	const char *dot = strrchr(base, '.');
	char *plain;
	bool script;

	if (!strcmp(base, "configure.ac") || !strcmp(base, "configure.in") ||
	    !strcmp(base, "configure") || (dot && !strcmp(dot, ".m4")))
		return FILE_CONFIGURE;
	if (!strcmp(base, "build.info") || !strcmp(base, "compile_commands.json") ||
	    !strcmp(base, "meson_options.txt") || (dot && !strcmp(dot, ".cmake")))
		return FILE_BUILD;
	if (has_suffix(base, ".h.prebuilt"))
		return FILE_TEMPLATE;
	if (!dot || (strcmp(dot, ".in") != 0 && strcmp(dot, ".cmake") != 0 &&
		     strcmp(dot, ".template") != 0))
		return FILE_OTHER;
	if (has_suffix(base, ".h.in") || has_suffix(base, ".h.cmake") ||
	    has_suffix(base, ".h.template") || has_suffix(base, ".c.in"))
		return FILE_TEMPLATE;
	plain = xstrndup(base, dot - base);
	script = strrchr(plain, '.') && is_script(strrchr(plain, '.'));
	free(plain);
	return script ? FILE_SCRIPT : FILE_OTHER;
}

enum file_kind file_kind_of(const char *path)
{
	const char *base = strrchr(path, '/'), *dot;

	base = base ? base + 1 : path;
	dot = strrchr(base, '.');
	if (dot) {
		if (!strcmp(dot, ".c") || !strcmp(dot, ".c_shipped"))
			return FILE_C;
		if (!strcmp(dot, ".h") || !strcmp(dot, ".inc") || !strcmp(dot, ".def"))
			return FILE_HEADER;
		if (!strcmp(dot, ".S") || !strcmp(dot, ".S_shipped"))
			return FILE_ASM;
		if (!strcmp(dot, ".cc") || !strcmp(dot, ".cpp") || !strcmp(dot, ".cxx"))
			return FILE_CXX;
		if (!strcmp(dot, ".rs"))
			return FILE_RUST;
		if (is_script(dot))
			return FILE_SCRIPT;
	}
	if (is_makefile(base) || (dot && !strcmp(dot, ".am")))
		return FILE_MAKE;
	if (has_prefix(base, "Kconfig"))
		return FILE_KCONFIG;
	return build_kind_of(base);
}

static bool is_skipped(const char *path, bool dir, const char *const *skip, size_t nskip)
{
	char slash[4096];
	size_t i;

	for (i = 0; i < nskip; i++) {
		if (path_match(skip[i], path))
			return true;
		if (dir &&
		    (size_t)snprintf(slash, sizeof(slash), "%s/", path) < sizeof(slash) &&
		    !strcmp(skip[i], slash))
			return true;
	}
	return false;
}

/* ---------------------------------------------------------------- walking ---------- */

/* Folders still to be read; the workers take from and add to it under its lock. */
struct walk {
	pthread_mutex_t lock;
	pthread_cond_t more;
	VEC(char *) todo;
	u32 busy; /* workers that may still add folders */
	struct tree *t;
	const char *const *skip;
	size_t nskip;
};

/* What one worker found; merged under the lock when it is done. */
struct found {
	VEC(struct file) files;
	VEC(char *) dirs;
	struct arena arena;
};

static void walk_entry(struct walk *w, struct found *out, int fd, const char *dir,
		       const struct dirent *e)
{
	struct file f = {0};
	struct stat st;
	char *path;

	if (e->d_name[0] == '.' && strcmp(e->d_name, ".exportgate") != 0)
		return;
	path = *dir ? arena_printf(&out->arena, "%s/%s", dir, e->d_name)
		    : arena_strndup(&out->arena, e->d_name, strlen(e->d_name));
	f.kind = file_kind_of(path);
	if (e->d_type == DT_REG && f.kind == FILE_OTHER)
		return;
	if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW))
		return;
	if (S_ISDIR(st.st_mode)) {
		if (!is_skipped(path, true, w->skip, w->nskip))
			vec_push(&out->dirs, path);
		return;
	}
	if (!S_ISREG(st.st_mode) || f.kind == FILE_OTHER ||
	    is_skipped(path, false, w->skip, w->nskip))
		return;
	f.path = path;
	f.size = st.st_size;
	/* anybody can set the time of change, but nobody that of the inode's */
	f.mtime = st.st_mtim.tv_sec * 1000000000ull + st.st_mtim.tv_nsec;
	f.mtime ^= (st.st_ctim.tv_sec * 1000000000ull + st.st_ctim.tv_nsec) *
		   0x9fb21c651e98df25ull;
	f.mtime += st.st_ino * 0xd6e8feb86659fd93ull;
	vec_push(&out->files, f);
}

static void walk_dir(struct walk *w, struct found *out, const char *dir)
{
	int fd = openat(w->t->dirfd, *dir ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *e;
	DIR *d;

	if (fd < 0 || !(d = fdopendir(fd))) {
		warn("cannot read folder %s/%s: %s; its files are not seen", w->t->root,
		     dir, strerror(errno));
		__atomic_fetch_add(w->t->unread, 1, __ATOMIC_RELAXED);
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(d)))
		walk_entry(w, out, fd, dir, e);
	closedir(d);
}

static void merge_found(struct walk *w, struct found *out)
{
	struct tree *t = w->t;
	size_t i;

	for (i = 0; i < out->files.n; i++) {
		struct file f = out->files.v[i];

		f.path = arena_strndup(&t->arena, f.path, strlen(f.path));
		vec_push(&t->files, f);
	}
	vec_free(&out->files);
	vec_free(&out->dirs);
	arena_free(&out->arena);
}

static void walk_worker(void *arg, unsigned int worker)
{
	struct found out = {0};
	struct walk *w = arg;
	size_t i;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		while (!w->todo.n && w->busy)
			pthread_cond_wait(&w->more, &w->lock);
		if (!w->todo.n)
			break;
		char *dir = w->todo.v[--w->todo.n];

		w->busy++;
		pthread_mutex_unlock(&w->lock);
		walk_dir(w, &out, dir);
		pthread_mutex_lock(&w->lock);
		free(dir);
		for (i = 0; i < out.dirs.n; i++)
			vec_push(&w->todo, xstrdup(out.dirs.v[i]));
		out.dirs.n = 0;
		w->busy--;
		pthread_cond_broadcast(&w->more);
	}
	merge_found(w, &out);
	pthread_mutex_unlock(&w->lock);
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

static void index_files(struct tree *t)
{
	size_t i;

	map_free(&t->index);
	if (t->files.n)
		qsort(t->files.v, t->files.n, sizeof(*t->files.v), by_path);
	for (i = 0; i < t->files.n; i++)
		*map_get(&t->index, hash_str(t->files.v[i].path), i) = i;
}

struct tree *tree_open(const char *dir, const char *const *skip, size_t nskip)
{
	struct walk w = {.lock = PTHREAD_MUTEX_INITIALIZER,
			 .more = PTHREAD_COND_INITIALIZER,
			 .skip = skip,
			 .nskip = nskip};
	struct tree *t = xcalloc(1, sizeof(*t));

	t->unread = xcalloc(1, sizeof(*t->unread));
	t->root = xstrdup(dir);
	t->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->dirfd < 0)
		die("cannot open tree %s: %s; name an existing folder", dir,
		    strerror(errno));
	w.t = t;
	vec_push(&w.todo, xstrdup(""));
	run_workers(cpu_count(), walk_worker, &w);
	vec_free(&w.todo);
	index_files(t);
	return t;
}

/* ---------------------------------------------------------------- git -------------- */

struct git_walk {
	struct tree *t;
	const char *const *skip;
	size_t nskip;
};

static int git_entry(const char *root, const git_tree_entry *e, void *arg)
{
	struct git_walk *w = arg;
	char *path = arena_printf(&w->t->arena, "%s%s", root, git_tree_entry_name(e));
	bool dir = git_tree_entry_type(e) == GIT_OBJECT_TREE;
	struct file f = {.path = path, .kind = file_kind_of(path)};

	if (is_skipped(path, dir, w->skip, w->nskip))
		return 1;
	if (git_tree_entry_type(e) != GIT_OBJECT_BLOB || f.kind == FILE_OTHER ||
	    git_tree_entry_filemode(e) == GIT_FILEMODE_LINK)
		return 0;
	memcpy(f.oid, git_tree_entry_id(e)->id, sizeof(f.oid));
	vec_push(&w->t->files, f);
	return 0;
}

struct tree *tree_open_git(void *repo, void *git_tree, const char *const *skip,
			   size_t nskip)
{
	struct git_walk w = {.skip = skip, .nskip = nskip};
	struct tree *t = xcalloc(1, sizeof(*t));
	const char *dir = git_repository_workdir(repo);

	t->unread = xcalloc(1, sizeof(*t->unread));
	t->root = xstrdup(dir ? dir : git_repository_path(repo));
	t->dirfd = -1;
	t->repo = repo;
	w.t = t;
	if (git_tree_walk(git_tree, GIT_TREEWALK_PRE, git_entry, &w))
		die("cannot list a tree of %s: %s", t->root, git_error_last()->message);
	index_files(t);
	return t;
}

static const char *read_blob(const struct tree *t, const struct file *f, struct buf *b,
			     size_t *len)
{
	git_blob *blob;
	git_oid oid;

	memcpy(oid.id, f->oid, sizeof(oid.id));
	if (git_blob_lookup(&blob, t->repo, &oid))
		return NULL;
	*len = git_blob_rawsize(blob);
	b->s = vec_reserve(b->s, &b->cap, *len + 64, 1);
	memcpy(b->s, git_blob_rawcontent(blob), *len);
	memset(b->s + *len, 0, 64);
	git_blob_free(blob);
	return b->s;
}

/* ---------------------------------------------------------------- reading ---------- */

void tree_close(struct tree *t)
{
	size_t i;

	if (!t)
		return;
	for (i = 0; i < t->files.n; i++)
		free(t->files.v[i].text);
	if (t->dirfd >= 0)
		close(t->dirfd);
	vec_free(&t->files);
	map_free(&t->index);
	arena_free(&t->arena);
	free(t->unread);
	free(t->root);
	free(t);
}

u32 tree_find(const struct tree *t, const char *path)
{
	const u32 *i = map_find(&t->index, hash_str(path));

	return i && *i < t->files.n && !strcmp(t->files.v[*i].path, path) ? *i : NO_FILE;
}

const char *tree_read(const struct tree *t, const struct file *f, struct buf *b,
		      size_t *len)
{
	int err;

	if (f->text) {
		*len = f->text_len;
		return f->text;
	}
	if (t->repo)
		return read_blob(t, f, b, len);
	err = read_into(b, t->dirfd, f->path);
	if (err) {
		warn("cannot read %s/%s: %s; what it says is not seen", t->root, f->path,
		     strerror(-err));
		__atomic_fetch_add(t->unread, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	*len = b->n;
	return b->s;
}

void tree_overlay(struct tree *t, const char *path, const char *text, size_t len)
{
	u32 i = tree_find(t, path);
	struct file f = {.kind = file_kind_of(path)};

	if (i == NO_FILE && text) {
		f.path = arena_strndup(&t->arena, path, strlen(path));
		vec_push(&t->files, f);
		index_files(t);
		i = tree_find(t, path);
	}
	if (i == NO_FILE)
		return;
	free(t->files.v[i].text);
	t->files.v[i].text = NULL;
	if (!text) {
		memmove(&t->files.v[i], &t->files.v[i + 1],
			(t->files.n - i - 1) * sizeof(*t->files.v));
		t->files.n--;
		index_files(t);
		return;
	}
	t->files.v[i].text = xcalloc(1, len + 64);
	memcpy(t->files.v[i].text, text, len);
	t->files.v[i].text_len = len;
	t->files.v[i].size = len;
	t->files.v[i].mtime = 0;
	t->files.v[i].has_facts = false;
}
