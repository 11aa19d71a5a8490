// The policy of the service under test: short steps, low numbers, everything else as in real use.

package struct PolicyText: Sendable {
    package init() {}

    package var stableInstances = 2
    package var readyWithin = "10s"
    package var steps = ["{share: 20%, for: 1s}", "{share: 50%, for: 1s}"]
    package var budget = "1GiB"
    package var reconnect = "probe"
    package var snapshot = "dump"
    package var rollback = "swap"
    package var writes = "stable"
    package var keepBefore = "1h"
    package var minimumRequests = 10
    package var errorsMax = "5%"
    package var proven = "50%"
    package var noData = "{wait: 20s, then: roll-back}"
    package var by = "cookie:session"
    package var timeout = "15s"
    package var latency = "{}"
    package var sharedIncident = "hold"
    package var bake = "1s"
    package var undoWindow = "1s"
    package var automatic = true
    package var onNewer = "queue"
    package var deadline = "2m"

    func render(repository: String, shopPort: Int) -> String {
        """
        service: shop
        source: {repository: \(repository)}
        platform:
          process:
            command: [/usr/bin/python3, -B, service.py, "{port}"]
            instances: {stable: \(stableInstances), canary: 1}
            ready: {path: /healthz, within: \(readyWithin)}
            drain: 3s
        traffic: {listen: "127.0.0.1:\(shopPort)", timeout: \(timeout)}
        cohort:
          by: ["\(by)"]
          steps: [\(steps.joined(separator: ", "))]
        database:
          url: env:SHOP_DATABASE_URL
          admin_url: env:SHOP_ADMIN_URL
          canary_role: shop_canary
          recording: {budget: \(budget)}
          snapshot: {mode: \(snapshot)}
          rollback: {mode: \(rollback), writes: \(writes), freeze: 15s, reconnect: \(reconnect), keep_before: \(keepBefore)}
        watch:
          minimum_requests: \(minimumRequests)
          settle: 0s
          errors: {max: \(errorsMax), proven: \(proven)}
          latency: \(latency)
          shared_incident: \(sharedIncident)
          no_data: \(noData)
        promote: {max_parallel: 1, bake: \(bake), undo_window: \(undoWindow)}
        roll_back: {automatic: \(automatic), deadline: 40s}
        trigger: {secrets: [env:SHOP_WEBHOOK_SECRET], on_newer: \(onNewer)}
        deadline: \(deadline)
        """
    }
}
