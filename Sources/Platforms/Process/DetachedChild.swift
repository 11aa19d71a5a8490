// A process between its birth and its program; see CPosix/spawn.c.

import CPosix
import Glibc
import Ports

struct DetachedChild: Sendable {
    private var child = perch_child()
    /// Neither released nor discarded yet.
    private var isWaiting = true

    var pid: Int32 { child.pid }

    init(
        program: String, arguments: [String], environment: [String: String], folder: String, output: CInt
    ) throws(Failure) {
        let variables = environment.map { "\($0.key)=\($0.value)" }.sorted()
        let error = withCStrings(arguments) { arguments in
            withCStrings(variables) { variables in
                program.withCString { program in
                    folder.withCString { folder in
                        var request = perch_spawn(
                            program: program, arguments: arguments, environment: variables, folder: folder,
                            output: output)
                        return perch_spawn(&request, &child)
                    }
                }
            }
        }
        guard error == 0 else {
            throw Failure(
                "cannot make a process for \(program): \(String(cString: strerror(error)))",
                hint: "check the limits on processes and memory", isTransient: true)
        }
    }

    /// Runs the program.
    mutating func release(as name: String, command: [String], folder: String) throws(Failure) {
        precondition(isWaiting, "a child is released once")
        isWaiting = false
        var step = PERCH_STEP_NONE
        let error = perch_release(&child, &step)
        guard error != 0 else { return }
        let reason = String(cString: strerror(error))
        switch step {
        case PERCH_STEP_FOLDER:
            throw Failure("cannot start \(name) in \(folder): \(reason)")
        case PERCH_STEP_PROGRAM:
            throw Failure(
                "cannot start \(name): \(command[0]): \(reason)",
                hint: "check that the program is executable and its interpreter is installed")
        default:
            throw Failure("cannot start \(name): preparing its process failed: \(reason)", isTransient: true)
        }
    }

    /// Ends a child that was not released; nothing happens to one that was.
    mutating func discard() {
        guard isWaiting else { return }
        isWaiting = false
        perch_discard(&child)
    }
}

/// Calls `body` with a null-terminated array of C strings.
private func withCStrings<Result>(
    _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    var pointers = strings.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    return pointers.withUnsafeMutableBufferPointer { body(UnsafePointer($0.baseAddress!)) }
}
