/* Calls of the C library that fail, or kill, at a chosen moment.

   A program that has preloaded this library calls `arm`; from then on calls on
   files below a directory are counted by kind, and one of them is spoiled. Each
   of these calls (or, once a kind is chosen, each spoiled one) is written to a
   log: its kind and its path. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum deed { NOTHING, FAIL, CUT, KILL_BEFORE, KILL_AFTER };

static char directory[PATH_MAX], chosen[32];
static int is_armed, number, deed, code, lasts, record;
static atomic_int count;

void arm(const char *folder, const char *kind, int call, int what, int error,
         int from_then_on, const char *log) {
  strncpy(directory, folder, sizeof directory - 1);
  strncpy(chosen, kind, sizeof chosen - 1);
  number = call, deed = what, code = error, lasts = from_then_on;
  record = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND,
                   0666);
  is_armed = 1;
}

/* Returns what is done to a call. */
static enum deed judge(const char *kind, const char *path) {
  size_t length = strlen(directory);
  if (strncmp(path, directory, length) || path[length] != '/') return NOTHING;
  int spoils = !strcmp(kind, chosen);
  if (spoils) {
    int now = atomic_fetch_add(&count, 1) + 1;
    spoils = now == number || (lasts && now > number);
  }
  if (spoils || !*chosen) {
    char line[PATH_MAX + 64];
    int size = snprintf(line, sizeof line, "%s %s\n", kind, path);
    syscall(SYS_write, record, line, size);
  }
  return spoils ? deed : NOTHING;
}

static enum deed judge_name(const char *kind, int folder, const char *name) {
  char path[2 * PATH_MAX + 2] = "", link[64];
  if (!is_armed) return NOTHING;
  if (*name != '/') {
    if (folder == AT_FDCWD)
      strcpy(link, "/proc/self/cwd");
    else
      snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    strcpy(path + (size < 0 ? 0 : size), "/");
  }
  strncat(path, name, PATH_MAX);
  return judge(kind, path);
}

static enum deed judge_file(const char *kind, int file) {
  char path[PATH_MAX], link[64];
  if (!is_armed || file == record) return NOTHING;
  int kept = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t size = readlink(link, path, sizeof path - 1);
  errno = kept;
  if (size < 0) return NOTHING;
  path[size] = 0;
  return judge(kind, path);
}

static void end(void) {
  syscall(SYS_kill, getpid(), SIGKILL);
  for (;;) pause();
}

/* Defines a call: how it is judged, the value of its failure. A close that
   fails has closed the file all the same. */
#define CALL(type, name, parameters, arguments, verdict, failure, closes)      \
  type name parameters {                                                       \
    static type(*original) parameters;                                         \
    if (!original) original = (type(*) parameters)dlsym(RTLD_NEXT, #name);     \
    enum deed what = verdict;                                                  \
    if (what == KILL_BEFORE) end();                                            \
    if (what == FAIL && !closes) return errno = code, failure;                 \
    type result = original arguments;                                          \
    if (what == KILL_AFTER) end();                                             \
    return what == FAIL ? (errno = code, failure) : result;                    \
  }
#define ON_NAME(name, parameters, arguments, kind, folder, path)               \
  CALL(int, name, parameters, arguments, judge_name(kind, folder, path), -1, 0)
#define ON_FILE(name, parameters, arguments, kind)                             \
  CALL(int, name, parameters, arguments, judge_file(kind, file), -1, 0)

ON_NAME(rename, (const char *old, const char *new), (old, new), "rename",
        AT_FDCWD, new)
ON_NAME(renameat, (int from, const char *old, int to, const char *new),
        (from, old, to, new), "rename", to, new)
ON_NAME(unlink, (const char *name), (name), "unlink", AT_FDCWD, name)
ON_NAME(unlinkat, (int folder, const char *name, int flags),
        (folder, name, flags), "unlink", folder, name)
ON_NAME(rmdir, (const char *name), (name), "rmdir", AT_FDCWD, name)
ON_NAME(mkdir, (const char *name, mode_t mode), (name, mode), "mkdir",
        AT_FDCWD, name)
ON_NAME(mkdirat, (int folder, const char *name, mode_t mode),
        (folder, name, mode), "mkdir", folder, name)
ON_FILE(fsync, (int file), (file), "fsync")
ON_FILE(fdatasync, (int file), (file), "fsync")
ON_FILE(ftruncate, (int file, off_t size), (file, size), "ftruncate")
ON_FILE(ftruncate64, (int file, off64_t size), (file, size), "ftruncate")
ON_FILE(flock, (int file, int operation), (file, operation), "flock")
CALL(int, close, (int file), (file), judge_file("close", file), -1, 1)
CALL(int, fclose, (FILE *file), (file), judge_file("close", fileno(file)), EOF,
     1)
CALL(int, fflush, (FILE *file), (file),
     file ? judge_file("write", fileno(file)) : NOTHING, EOF, 0)

/* Defines a call that moves bytes: it may also move half of them. */
#define MOVE(type, name, parameters, arguments, kind, file, size, none)        \
  type name parameters {                                                       \
    static type(*original) parameters;                                         \
    if (!original) original = (type(*) parameters)dlsym(RTLD_NEXT, #name);     \
    enum deed what = judge_file(kind, file);                                   \
    if (what == FAIL) return errno = code, none;                               \
    if ((what == CUT || what == KILL_BEFORE) && size > 1) size /= 2;           \
    type result = original arguments;                                          \
    if (what >= KILL_BEFORE) end();                                            \
    return result;                                                             \
  }
MOVE(ssize_t, write, (int file, const void *bytes, size_t size),
     (file, bytes, size), "write", file, size, -1)
MOVE(ssize_t, pwrite, (int file, const void *bytes, size_t size, off_t at),
     (file, bytes, size, at), "write", file, size, -1)
MOVE(ssize_t, pwrite64, (int file, const void *bytes, size_t size, off64_t at),
     (file, bytes, size, at), "write", file, size, -1)
MOVE(ssize_t, read, (int file, void *bytes, size_t size), (file, bytes, size),
     "read", file, size, -1)
MOVE(ssize_t, pread, (int file, void *bytes, size_t size, off_t at),
     (file, bytes, size, at), "read", file, size, -1)
MOVE(ssize_t, pread64, (int file, void *bytes, size_t size, off64_t at),
     (file, bytes, size, at), "read", file, size, -1)

/* A failing `fwrite` writes nothing; bytes of size 1 alone can be cut. */
size_t fwrite(const void *bytes, size_t size, size_t members, FILE *file) {
  static size_t (*original)(const void *, size_t, size_t, FILE *);
  if (!original)
    original = (size_t(*)(const void *, size_t, size_t, FILE *))dlsym(
        RTLD_NEXT, "fwrite");
  enum deed what = judge_file("write", fileno(file));
  if (what == FAIL) return errno = code, 0;
  if (what == KILL_BEFORE) end();
  size_t result = original(bytes, size, members, file);
  if (what == KILL_AFTER) end();
  return result;
}

static const char *opening(int flags) {
  return flags & (O_WRONLY | O_RDWR) ? "create" : "open";
}

#define OPEN(name, parameters, last, arguments, folder)                        \
  int name parameters {                                                        \
    static int(*original) parameters;                                          \
    if (!original) original = (int(*) parameters)dlsym(RTLD_NEXT, #name);      \
    va_list more;                                                              \
    va_start(more, last);                                                      \
    mode_t mode = va_arg(more, mode_t);                                        \
    va_end(more);                                                              \
    enum deed what = judge_name(opening(flags), folder, path);                 \
    if (what == KILL_BEFORE) end();                                            \
    if (what == FAIL) return errno = code, -1;                                 \
    int result = original arguments;                                           \
    if (what == KILL_AFTER) end();                                             \
    return result;                                                             \
  }
OPEN(open, (const char *path, int flags, ...), flags, (path, flags, mode),
     AT_FDCWD)
OPEN(open64, (const char *path, int flags, ...), flags, (path, flags, mode),
     AT_FDCWD)
OPEN(openat, (int folder, const char *path, int flags, ...), flags,
     (folder, path, flags, mode), folder)
OPEN(openat64, (int folder, const char *path, int flags, ...), flags,
     (folder, path, flags, mode), folder)

static const char *opening_mode(const char *mode) {
  return strpbrk(mode, "wa+") ? "create" : "open";
}

CALL(FILE *, fopen, (const char *path, const char *mode), (path, mode),
     judge_name(opening_mode(mode), AT_FDCWD, path), NULL, 0)
CALL(FILE *, fopen64, (const char *path, const char *mode), (path, mode),
     judge_name(opening_mode(mode), AT_FDCWD, path), NULL, 0)
