// What the API is told by perchd's settings.

package import Releases

package struct APISettings: Sendable {
    /// nil: no TCP, only the socket.
    package var tcp: TCPAddress?
    /// Created with mode 0660; who may open it may do everything. nil: no socket.
    package var socketPath: String?
    /// Bearer tokens that may do everything.
    package var operateTokens: [String] = []
    /// Bearer tokens that may look.
    package var readTokens: [String] = []
    /// What callers reach this API at, without a slash at the end: `https://perch.example.com`.
    package var publicURL: String
    /// Largest webhook, in bytes; GitHub sends up to 25 MiB.
    package var largestBody = 25 << 20
    /// Largest body of every other request, in bytes.
    package var largestCommand = 64 << 10
    /// How long a body may take to arrive.
    package var bodyWithin: Span = .seconds(30)
    /// How long a connection may be idle.
    package var idleTimeout: Span = .seconds(75)
    package var mostConnections = 1_024
    /// Webhooks of one caller, before their signature is looked at.
    package var hooksPerPeer = RateLimit(perMinute: 60, burst: 30)
    /// Signed webhooks of one service, whoever sends them.
    package var hooksPerService = RateLimit(perMinute: 60, burst: 30)
    /// A TLS proxy on this machine is in front: from a loopback peer the last `X-Forwarded-For` is the caller.
    package var isBehindProxy = false
    /// `/metrics` on TCP answers without a token.
    package var hasOpenMetrics = false

    package init(tcp: TCPAddress?, socketPath: String?, publicURL: String) {
        self.tcp = tcp
        self.socketPath = socketPath
        self.publicURL = publicURL
    }

    package struct TCPAddress: Hashable, Sendable {
        package var host: String
        /// 0: any free one.
        package var port: Int

        package init(host: String, port: Int) {
            self.host = host
            self.port = port
        }
    }
}
