// What Swift on Linux cannot say: starting a detached process safely, and the checksum of the journal.

#ifndef PERCH_CPOSIX_H
#define PERCH_CPOSIX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `length` bytes, continuing `crc`; 0 begins a new one.
/// Uses the CPU's instruction where it has one; both ways give the same value.
uint32_t perch_crc32c(uint32_t crc, const void *bytes, size_t length);

/// The same without the CPU's instruction, for the test that holds the two against each other.
uint32_t perch_crc32c_portable(uint32_t crc, const void *bytes, size_t length);

/// A process to be: every pointer must stay valid until `perch_spawn` returns.
struct perch_spawn {
    /// A path; `PATH` is not searched. Relative to `folder`.
    const char *program;
    char *const *arguments;
    char *const *environment;
    const char *folder;
    /// Becomes standard output and standard error.
    int output;
};

/// A process that exists and waits to be let go. Dies by itself when whoever spawned it dies first, so a process that
/// runs its program is always one whose pid its maker had the time to write down.
struct perch_child {
    pid_t pid;
    /// Where the word to go on is written.
    int go;
    /// Where the child says what failed; end of file: it runs its program.
    int report;
};

enum perch_spawn_step {
    PERCH_STEP_NONE = 0,
    PERCH_STEP_SESSION,
    PERCH_STEP_DESCRIPTORS,
    PERCH_STEP_FOLDER,
    PERCH_STEP_PROGRAM,
};

/// Makes a process in a session and process group of its own, which inherits nothing: standard input is `/dev/null`, every
/// other descriptor but the output is closed, every signal has its default action, none is blocked. It waits for
/// `perch_release`. Needs Linux 5.9 (`close_range`).
///
/// Returns 0, or an errno when there is no process.
int perch_spawn(const struct perch_spawn *request, struct perch_child *child);

/// Lets the process run its program. Returns 0 when it does; otherwise the errno of `step`, and the process is gone.
int perch_release(struct perch_child *child, enum perch_spawn_step *step);

/// Ends a process that was not released.
void perch_discard(struct perch_child *child);

/// Sends `signal` to every process of the group `leader` leads. Returns 0 or an errno; ESRCH: there is none.
int perch_signal_group(pid_t leader, int signal);

#endif
