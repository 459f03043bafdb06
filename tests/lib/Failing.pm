# SPDX-License-Identifier: ISC
#
# Failing: a daemon whose scripts cannot be started, since a call between fork(2) and the script
# fails with an errno of the test's choice.  A library in front of libc does it, which a daemon
# with AddressSanitizer does not let in: then can_fail() is false.
package Failing;
use v5.36;
use Errno ();
use Exporter 'import';
use Bridge;

our @EXPORT = qw(can_fail failing_env fail_with);

my @calls = qw(execve chdir dup2);
my ($library, $errors);

sub can_fail () { return slurp($Bridge::daemon) !~ /__asan_init/ }

sub build () {
    my @cc = split ' ', $ENV{CC} || is_program('cc', 'gcc');
    $library = file() . '.so';
    my $r = run_program([ @cc, qw(-shared -fPIC -O1 -o), $library, spew(file() . '.c', <<~'C') ]);
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <errno.h>
        #include <fcntl.h>
        #include <stdlib.h>
        #include <sys/mman.h>
        #include <unistd.h>
        enum { EXECVE, CHDIR, DUP2, CALLS };
        static const volatile int *errors;
        static int (*real_execve)(const char *, char *const *, char *const *);
        static int (*real_chdir)(const char *);
        static int (*real_dup2)(int, int);
        static __attribute__((constructor)) void begin(void)
        {
            int fd = open(getenv("ERRORS"), O_RDONLY | O_CLOEXEC);
            void *memory = mmap(NULL, CALLS * sizeof(int), PROT_READ, MAP_SHARED, fd, 0);
            close(fd);
            real_execve = dlsym(RTLD_NEXT, "execve");
            real_chdir = dlsym(RTLD_NEXT, "chdir");
            real_dup2 = dlsym(RTLD_NEXT, "dup2");
            errors = memory == MAP_FAILED ? NULL : memory;
        }
        static int fails(int call)
        {
            int error = errors == NULL ? 0 : errors[call];
            if (error != 0)
                errno = error;
            return error != 0;
        }
        int execve(const char *path, char *const argv[], char *const envp[])
        {
            return fails(EXECVE) ? -1 : real_execve(path, argv, envp);
        }
        int chdir(const char *path)
        {
            return fails(CHDIR) ? -1 : real_chdir(path);
        }
        int dup2(int from, int to)
        {
            return fails(DUP2) ? -1 : real_dup2(from, to);
        }
        C
    die "the library does not compile:\n$r->{err}\n" if $r->{exit} != 0;
}

# What the environment of a daemon has to say, whose calls fail from fail_with() on.
sub failing_env () {
    build() if !$library;
    $errors = spew(file(), "\0" x 4 x @calls, 0644);
    return { LD_PRELOAD => $library, ERRORS => $errors };
}

# From here on, these calls fail, each with the errno of that name: CALL => ERROR, ...
sub fail_with (%error) {
    open my $out, '+<:raw', $errors or die "$errors: $!\n";
    syswrite $out, pack 'i*', map { $error{$_} ? Errno->can($error{$_})->() : 0 } @calls;
}

1;
