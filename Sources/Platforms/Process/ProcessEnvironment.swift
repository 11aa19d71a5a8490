// What a process we start finds in its environment before the policy has its say.

import FoundationEssentials
import Releases

enum ProcessEnvironment {
    /// Where to find programs, a home, the locale and certificates; nothing else of the daemon's, which holds its secrets.
    static var inherited: [String: String] {
        let names = [
            "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SSL_CERT_FILE",
            "SSL_CERT_DIR", "LD_LIBRARY_PATH",
        ]
        let ours = ProcessInfo.processInfo.environment
        var environment = ["PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        for name in names { environment[name] = ours[name] ?? environment[name] }
        return environment
    }
}

extension Instant {
    /// The wall clock: what must survive a restart cannot be told by a clock that begins with the process.
    static var now: Instant {
        Instant(millisecondsSince1970: Int64((Date().timeIntervalSince1970 * 1_000).rounded()))
    }
}
