/* SPDX-License-Identifier: ISC */
/*
 * preload: the preloaders of a worker, and which scripts are theirs.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "cgi/preload_private.h"
#include "cgi/shebang.h"

/* ---- the environment -------------------------------------------------------------- */

/* What programs, or the C library, may have read at their start.  A '*' stands for any rest. */
static const char *const start_names[] = {"LANG", "LANGUAGE", "LC_*", "TZ", "TZDIR", "LD_*",
    "MALLOC_*", "GLIBC_TUNABLES", "LOCPATH", "NLSPATH"};

static bool is_named(const char *item, const char *name)
{
	size_t len = strlen(name);

	if (len > 0 && name[len - 1] == '*')
		return strncmp(item, name, len - 1) == 0;
	return strncmp(item, name, len) == 0 && item[len] == '=';
}

/* Whether `item`, "NAME=VALUE", is one that a script of `process` must not have its own of. */
static bool is_fixed(const struct preload_process *process, const struct preload_mark *mark,
    const char *item)
{
	const char *name = process->names;

	if (mark->by_path && is_named(item, "PATH"))
		return true;
	for (size_t i = 0; i < sizeof start_names / sizeof *start_names; i++)
		if (is_named(item, start_names[i]))
			return true;
	for (size_t i = 0; i < process->name_count; i++, name += strlen(name) + 1)
		if (is_named(item, name))
			return true;
	return false;
}

static bool has_item(const struct environment *environment, const char *item)
{
	for (size_t i = 0; i < environment->count; i++)
		if (environment->items[i] == item || strcmp(environment->items[i], item) == 0)
			return true;
	return false;
}

/* Whether the interpreter would have started with the environment of the preloader. */
static bool fits(const struct preload_process *process, const struct preload_mark *mark,
    char *const *envp)
{
	const struct environment *environment =
	    process->preloader->preload->parts.environment;
	size_t balance = 0; /* a name that only one of them has is missing in the other */

	for (size_t i = 0; i < environment->count; i++)
		balance += is_fixed(process, mark, environment->items[i]);
	for (; *envp != NULL; envp++) {
		if (!is_fixed(process, mark, *envp))
			continue;
		if (balance == 0 || !has_item(environment, *envp))
			return false;
		balance--;
	}
	return balance == 0;
}

/* ---- files ------------------------------------------------------------------------- */

static struct preloader *find_preloader(struct preload *preload, const char *interpreter)
{
	for (size_t i = 0; i < preload->count; i++)
		if (strcmp(preload->preloaders[i].interpreter, interpreter) == 0)
			return &preload->preloaders[i];
	return NULL;
}

static const char *path_of(const struct preload *preload)
{
	for (size_t i = 0; i < preload->parts.environment->count; i++)
		if (is_named(preload->parts.environment->items[i], "PATH"))
			return preload->parts.environment->items[i] + strlen("PATH=");
	return "";
}

/* Copies the words; without memory the file has no preloader. */
static void keep_switches(struct preload_mark *mark, const struct shebang *shebang)
{
	size_t size = 0;

	for (size_t i = 0; i < shebang->word_count; i++)
		size += strlen(shebang->words[i]) + 1;
	mark->switch_count = shebang->word_count;
	if (size == 0)
		return;
	mark->switches = malloc(size);
	if (mark->switches == NULL) {
		mark->preloader = NULL;
		return;
	}
	size = 0;
	for (size_t i = 0; i < shebang->word_count; i++) {
		size_t len = strlen(shebang->words[i]) + 1;

		memcpy(mark->switches + size, shebang->words[i], len);
		size += len;
	}
}

static void read_line(const struct preload *preload, const char *path, struct preload_look *look)
{
	struct shebang *shebang = &look->shebang;

	shebang_read(shebang, path);
	if (shebang->kind != SHEBANG_NAME || preload == NULL ||
	    !shebang_find(shebang->interpreter, path_of(preload), look->program))
		look->program[0] = '\0';
}

static void set_mark(struct preload *preload, struct preload_mark *mark,
    const struct preload_look *look)
{
	const struct shebang *shebang = &look->shebang;

	mark->bare = shebang->kind == SHEBANG_NONE;
	mark->by_path = shebang->kind == SHEBANG_NAME;
	if (shebang->kind == SHEBANG_NAME)
		mark->preloader = find_preloader(preload, look->program);
	else if (shebang->kind == SHEBANG_PATH)
		mark->preloader = find_preloader(preload, shebang->interpreter);
	if (mark->preloader == NULL)
		return;
	mark->bare = shebang->word_count == 0;
	keep_switches(mark, shebang);
}

void preload_look(const struct preload *preload, const char *path, struct preload_look *look)
{
	look->executable = access(path, X_OK) == 0;
	read_line(preload, path, look);
}

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool is_of(const struct preload_mark *mark, const struct stat *info)
{
	return mark->number != 0 && mark->ino == info->st_ino && mark->dev == info->st_dev &&
	    mark->size == info->st_size && is_same_time(&mark->mtim, &info->st_mtim) &&
	    is_same_time(&mark->ctim, &info->st_ctim);
}

/* A file that has just changed may change again, and look the same: its times are coarse. */
static bool may_keep(const struct stat *info, const struct preload_look *look)
{
	enum { COARSE = 2 }; /* s */
	int64_t now = look == NULL ? clock_real_ms() : look->time;
	int64_t age = now / 1000 - (int64_t)info->st_ctim.tv_sec;

	return age > COARSE;
}

/* The mark of this file, as it is or was; else a free one, or the next to be replaced. */
static struct preload_mark *find_mark(struct preload *preload, const struct stat *info)
{
	size_t first = (size_t)info->st_ino * 31 + (size_t)info->st_dev;

	for (size_t i = 0; i < PRELOAD_MARK_PROBES; i++) {
		struct preload_mark *mark = &preload->marks[(first + i) % PRELOAD_MARKS];

		if (mark->number == 0 || (mark->ino == info->st_ino && mark->dev == info->st_dev))
			return mark;
	}
	return &preload->marks[(first + preload->turn++ % PRELOAD_MARK_PROBES) % PRELOAD_MARKS];
}

static bool has_same_words(const struct preload_mark *a, const struct preload_mark *b)
{
	const char *left = a->switches, *right = b->switches;

	if (a->preloader != b->preloader || a->switch_count != b->switch_count)
		return false;
	for (size_t i = 0; i < a->switch_count; i++) {
		if (strcmp(left, right) != 0)
			return false;
		left += strlen(left) + 1;
		right += strlen(right) + 1;
	}
	return true;
}

/* What is known of the file at `path`, of which `look` may be NULL; valid until the next call. */
static struct preload_mark *mark_of(struct preload *preload, const char *path,
    const struct stat *info, const struct preload_look *look)
{
	struct preload_mark *mark = find_mark(preload, info);
	struct preload_mark old = *mark;
	struct preload_look own;

	if (is_of(mark, info))
		return mark;
	*mark = (struct preload_mark){.number = ++preload->mark_count,
	    .dev = info->st_dev,
	    .ino = info->st_ino,
	    .size = may_keep(info, look) ? info->st_size : -1, /* -1: read again the next time */
	    .mtim = info->st_mtim,
	    .ctim = info->st_ctim};
	if (look == NULL)
		read_line(preload, path, &own);
	set_mark(preload, mark, look == NULL ? &own : look);
	/* a preloader declines words, not files */
	if (old.ino == mark->ino && old.dev == mark->dev && has_same_words(&old, mark)) {
		mark->declined = old.declined;
		mark->number = old.number;
	}
	free(old.switches);
	return mark;
}

/* ---- choice -------------------------------------------------------------------------- */

/* Whether a handler that has a preloader may be meant; arguments.c decides in the end. */
static bool may_have_handler(struct preload *preload, const char *path)
{
	const struct value_handlers *handlers = &preload->parts.options->handlers;
	size_t len = strlen(path);

	for (size_t i = 0; i < handlers->count; i++) {
		const struct value_handler *handler = &handlers->items[i];

		if (len > handler->extension_len &&
		    memcmp(path + len - handler->extension_len, handler->text,
			handler->extension_len) == 0)
			return find_preloader(preload, handler->argv[0]) != NULL;
	}
	return false;
}

bool preload_concerns(struct preload *preload, const char *path, const struct stat *info,
    const struct preload_look *look)
{
	const struct preload_mark *mark = mark_of(preload, path, info, look);

	if (mark->declined)
		return false;
	return mark->preloader != NULL || (mark->bare && may_have_handler(preload, path));
}

/* How a script would be started, taken apart. */
struct start {
	struct preload_mark *mark;
	struct preloader *preloader;
	const char *switches[SHEBANG_WORDS_MAX];
	size_t switch_count;
	char *const *argv; /* from the script on */
	char dir[PATH_MAX];
};

/* As execve(2) runs the file: by its first line. */
static bool choose_by_line(struct start *start, const struct preload_script *script)
{
	const char *word = start->mark->switches;

	start->preloader = start->mark->preloader;
	start->switch_count = start->mark->switch_count;
	for (size_t i = 0; i < start->switch_count; i++, word += strlen(word) + 1)
		start->switches[i] = word;
	if (start->preloader == NULL)
		return false;
	return script->look != NULL ? script->look->executable : access(script->path, X_OK) == 0;
}

/*
 * As a handler runs it.  Some interpreters read the first line, too: not preloaded then, unless
 * there is nothing to read.
 */
static bool choose_by_handler(struct preload *preload, struct start *start, const char *path)
{
	const struct preload_mark *mark = start->mark;

	start->preloader = find_preloader(preload, start->argv[0]);
	if (start->preloader == NULL || !mark->bare ||
	    (mark->preloader != NULL && mark->preloader != start->preloader))
		return false;
	for (start->argv++; strcmp(*start->argv, path) != 0; start->argv++) {
		if (start->switch_count == SHEBANG_WORDS_MAX)
			return false;
		start->switches[start->switch_count++] = *start->argv;
	}
	return true;
}

/* The working directory, NULL: the worker's; false if it is relative to that, or not known. */
static bool find_dir(const struct preload *preload, struct start *start, const char *dir)
{
	if (dir == NULL)
		dir = preload->dir;
	if (dir == NULL || *dir != '/' || strlen(dir) >= sizeof start->dir)
		return false;
	memcpy(start->dir, dir, strlen(dir) + 1);
	return true;
}

static bool choose(struct preload *preload, struct start *start,
    const struct preload_script *script)
{
	struct stat info;

	if (script->look != NULL)
		info = script->look->info;
	else if (stat(script->path, &info) != 0)
		return false;
	*start = (struct start){.mark = mark_of(preload, script->path, &info, script->look),
	    .argv = script->plan->argv};
	if (start->mark->declined || !find_dir(preload, start, script->plan->dir))
		return false;
	if (strcmp(start->argv[0], script->path) == 0)
		return choose_by_line(start, script);
	return choose_by_handler(preload, start, script->path);
}

/* ---- start --------------------------------------------------------------------------- */

static struct preload_item *item_new(const struct start *start,
    const struct preload_script *script)
{
	struct preload_item *item = calloc(1, sizeof *item);

	if (item == NULL)
		return NULL;
	*item = (struct preload_item){.serial = ++start->preloader->current->serial,
	    .mark = start->mark,
	    .mark_number = start->mark->number,
	    .path = strdup(script->path),
	    .ours = {-1, -1, -1},
	    .answered = script->answered,
	    .context = script->context};
	if (item->path != NULL)
		return item;
	free(item);
	return NULL;
}

static int write_packet(struct preload *preload, const struct start *start,
    unsigned long serial, char *const *envp)
{
	const struct children *children = preload->parts.children;

	buf_consume(&preload->packet, buf_len(&preload->packet));
	return preload_message_start(&preload->packet,
	    &(struct preload_request){.serial = serial,
		.switches = start->switches,
		.switch_count = start->switch_count,
		.dir = start->dir,
		.limits = children->limits,
		.limit_count = children->limit_count,
		.argv = start->argv,
		.envp = envp});
}

/* Opens its streams and sends it off. */
static struct child *send_off(struct preload *preload, const struct start *start,
    const struct preload_script *script, struct preload_item *item)
{
	struct children *children = preload->parts.children;
	struct child_streams streams;
	struct child *child =
	    child_expect(children, script->plan, &streams, script->exited, script->context);
	int failed;

	if (child == NULL)
		return NULL;
	item->child = child;
	memcpy(item->ours, streams.ours, sizeof item->ours);
	failed = preload_process_send(start->preloader->current, item, &preload->packet,
	    streams.theirs);
	child_close_streams(children, streams.theirs);
	if (!failed)
		return child;
	(void)child_withdraw(child);
	return NULL;
}

struct child *preload_start(struct preload *preload, const struct preload_script *script)
{
	struct start start;
	struct preload_item *item;
	struct child *child = NULL;

	if (!choose(preload, &start, script) || start.preloader->current == NULL ||
	    start.preloader->current->state != PRELOAD_READY ||
	    !fits(start.preloader->current, start.mark, script->plan->envp))
		return NULL;
	item = item_new(&start, script);
	if (item == NULL)
		return NULL;
	if (write_packet(preload, &start, item->serial, script->plan->envp) == 0)
		child = send_off(preload, &start, script, item);
	if (child == NULL)
		preload_item_free(item);
	return child;
}

/* ---- life ------------------------------------------------------------------------------ */

/* Its argv: that of the option and, with --preload-learn, a word more. */
static int preloader_init(struct preloader *preloader, struct preload *preload,
    const struct value_preload *option)
{
	static char learn[] = "--learn";

	*preloader = (struct preloader){.preload = preload,
	    .option = option,
	    .interpreter = strndup(option->text, option->interpreter_len),
	    .argv = calloc(option->argc + 2, sizeof *preloader->argv)};
	if (preloader->interpreter == NULL || preloader->argv == NULL)
		return -1;
	memcpy(preloader->argv, option->argv, option->argc * sizeof *option->argv);
	if (preload->parts.options->preload_learn)
		preloader->argv[option->argc] = learn;
	return 0;
}

static char **make_envp(const struct environment *environment)
{
	char **envp = calloc(environment->count + 1, sizeof *envp);

	if (envp != NULL && environment->count > 0)
		memcpy(envp, environment->items, environment->count * sizeof *envp);
	return envp;
}

struct preload *preload_new(const struct preload_parts *parts)
{
	const struct value_preloads *options = &parts->options->preloads;
	struct preload *preload = calloc(1, sizeof *preload);

	if (preload == NULL)
		return NULL;
	*preload = (struct preload){.parts = *parts,
	    .session = getsid(0),
	    .dir = getcwd(NULL, 0),
	    .envp = make_envp(parts->environment),
	    .preloaders = calloc(options->count, sizeof *preload->preloaders),
	    .marks = calloc(PRELOAD_MARKS, sizeof *preload->marks)};
	buf_init(&preload->packet, PRELOAD_REQUEST_MAX);
	preload_items_init(preload);
	if (preload->envp == NULL || preload->preloaders == NULL || preload->marks == NULL) {
		preload_free(&preload);
		return NULL;
	}
	for (; preload->count < options->count; preload->count++) {
		if (preloader_init(&preload->preloaders[preload->count], preload,
			&options->items[preload->count]) == 0)
			continue;
		preload->count++;
		preload_free(&preload);
		return NULL;
	}
	for (size_t i = 0; i < preload->count; i++)
		preloader_start(&preload->preloaders[i]);
	return preload;
}

void preload_stop(struct preload *preload)
{
	preload->stopped = true;
	preload_processes_stop(preload);
}

void preload_free(struct preload **preload)
{
	struct preload *p = *preload;

	if (p == NULL)
		return;
	preload_processes_free(p);
	for (size_t i = 0; p->preloaders != NULL && i < p->count; i++) {
		free(p->preloaders[i].interpreter);
		free(p->preloaders[i].argv);
	}
	for (size_t i = 0; p->marks != NULL && i < PRELOAD_MARKS; i++)
		free(p->marks[i].switches);
	buf_fini(&p->packet);
	free(p->preloaders);
	free(p->marks);
	free(p->envp);
	free(p->dir);
	free(p);
	*preload = NULL;
}
