// A detached process in two steps: spawned it waits, released it runs its program.
//
//     parent                         child
//     fork  ------------------------> session, descriptors, signals, folder
//     writes down pid, start time    read(go) ... blocks
//     write(go) --------------------> execve; report closes by itself
//     read(report) <----------------- end of file, or {step, errno}
//
// The parent's death closes `go`: the child reads end of file and leaves. Between fork and execve only functions of
// signal-safety(7) are called, because the other threads of the parent, and the locks they held, are not there.

#define _GNU_SOURCE
#include "CPosix.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REPORT = 3, GO = 4, FIRST_FREE = 5 };

struct failed_step {
    int step;
    int error;
};

_Noreturn static void leave(int report, enum perch_spawn_step step) {
    struct failed_step failed = {step, errno};
    ssize_t written = write(report, &failed, sizeof failed);
    _exit(written == sizeof failed ? 127 : 126);
}

/// Moves `descriptor` out of the way of 0...4, which the child is about to fill.
static int above_fixed(int descriptor) { return fcntl(descriptor, F_DUPFD, FIRST_FREE); }

_Noreturn static void become(const struct perch_spawn *request, int go, int report) {
    int safe_report = above_fixed(report);
    if (safe_report < 0) leave(report, PERCH_STEP_DESCRIPTORS);
    report = safe_report;

    if (setsid() < 0) leave(report, PERCH_STEP_SESSION);

    int output = above_fixed(request->output);
    int safe_go = above_fixed(go);
    int input = open("/dev/null", O_RDONLY);
    if (output < 0 || safe_go < 0 || input < 0) leave(report, PERCH_STEP_DESCRIPTORS);
    if (dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0
        || dup2(safe_go, GO) < 0 || dup2(report, REPORT) < 0) {
        leave(report, PERCH_STEP_DESCRIPTORS);
    }
    if (close_range(FIRST_FREE, ~0U, 0) < 0 || fcntl(REPORT, F_SETFD, FD_CLOEXEC) < 0
        || fcntl(GO, F_SETFD, FD_CLOEXEC) < 0) {
        leave(REPORT, PERCH_STEP_DESCRIPTORS);
    }
    if (chdir(request->folder) < 0) leave(REPORT, PERCH_STEP_FOLDER);

    // By system call, because the C library lets nobody touch the two signals it keeps for itself, and those can be
    // inherited ignored as well. The kernel's struct of zeros is SIG_DFL everywhere; SIGKILL and SIGSTOP refuse.
    static const char standard[64];
    for (int signal = 1; signal < NSIG; signal++) {
        syscall(SYS_rt_sigaction, signal, standard, NULL, (size_t)(NSIG - 1) / 8);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);

    char word;
    ssize_t count;
    do {
        count = read(GO, &word, 1);
    } while (count < 0 && errno == EINTR);
    if (count != 1) _exit(125);

    execve(request->program, request->arguments, request->environment);
    leave(REPORT, PERCH_STEP_PROGRAM);
}

int perch_spawn(const struct perch_spawn *request, struct perch_child *child) {
    int go[2], report[2];
    // A socket, not a pipe: writing to a child that is gone must not raise SIGPIPE.
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, go) < 0) return errno;
    if (pipe2(report, O_CLOEXEC) < 0) {
        int error = errno;
        close(go[0]);
        close(go[1]);
        return error;
    }
    // No handler of the parent may run in the child before its actions are back at their defaults.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    int error = errno;
    if (pid == 0) {
        close(go[1]);
        become(request, go[0], report[1]);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(go[0]);
    close(report[1]);
    if (pid < 0) {
        close(go[1]);
        close(report[0]);
        return error;
    }
    *child = (struct perch_child){.pid = pid, .go = go[1], .report = report[0]};
    return 0;
}

static void reap(pid_t pid) {
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

int perch_release(struct perch_child *child, enum perch_spawn_step *step) {
    // It may have failed already; then only its report counts.
    ssize_t sent;
    do {
        sent = send(child->go, "!", 1, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    close(child->go);

    struct failed_step failed;
    ssize_t count;
    do {
        count = read(child->report, &failed, sizeof failed);
    } while (count < 0 && errno == EINTR);
    close(child->report);
    if (count == 0 && sent == 1) {
        *step = PERCH_STEP_NONE;
        return 0;
    }
    reap(child->pid);
    if (count != sizeof failed) {
        *step = PERCH_STEP_PROGRAM;
        return EIO;
    }
    *step = failed.step;
    return failed.error;
}

void perch_discard(struct perch_child *child) {
    close(child->go);
    close(child->report);
    reap(child->pid);
}

int perch_signal_group(pid_t leader, int signal) {
    // kill(-1) and kill(0) mean everybody and ourselves.
    if (leader <= 1) return EINVAL;
    return kill(-leader, signal) < 0 ? errno : 0;
}
