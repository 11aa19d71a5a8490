// `perch`: the command line. Everything is in PerchCLI.

import Glibc
import PerchCLI

// A pipe that nobody reads any more ends a write with an error instead of this process.
signal(SIGPIPE, SIG_IGN)
exit(await runPerch(Array(CommandLine.arguments.dropFirst())).rawValue)
