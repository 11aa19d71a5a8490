// What a team allows a release to do to one service. A value with every default filled in; `Policies` reads it from YAML.

/// The whole policy of one service. A release runs under the policy that was in force when it was accepted.
package struct Policy: Hashable, Sendable, Codable {
    package var service: ServiceName
    package var source: Source
    package var platform: Platform
    package var traffic: Traffic
    package var cohort: Cohort
    /// nil: Perch releases the service without touching any data.
    package var database: Database?
    package var watch: Watch
    package var promote: Promote
    package var rollBack: RollBack
    package var trigger: Trigger
    package var report: Report
    /// A whole release, from acceptance to the end of baking, may take this long.
    package var deadline: Span

    package init(
        service: ServiceName, source: Source, platform: Platform, traffic: Traffic, cohort: Cohort,
        database: Database?, watch: Watch = Watch(), promote: Promote = Promote(), rollBack: RollBack = RollBack(),
        trigger: Trigger = Trigger(), report: Report = Report(), deadline: Span = .hours(4)
    ) {
        self.service = service
        self.source = source
        self.platform = platform
        self.traffic = traffic
        self.cohort = cohort
        self.database = database
        self.watch = watch
        self.promote = promote
        self.rollBack = rollBack
        self.trigger = trigger
        self.report = report
        self.deadline = deadline
    }

    /// Where commits come from and how one becomes runnable.
    package struct Source: Hashable, Sendable, Codable {
        /// Path or URL git can clone.
        package var repository: String
        /// Run once per commit in its clean checkout; empty: nothing to build.
        package var build: [String] = []
        package var buildWithin: Span = .minutes(15)
        package init(repository: String) { self.repository = repository }
    }

    package struct Platform: Hashable, Sendable, Codable {
        package var process: Process
        package init(process: Process) { self.process = process }
    }

    /// How Perch runs the service as processes on this machine.
    package struct Process: Hashable, Sendable, Codable {
        /// Program and arguments; `{port}` is replaced, also inside an argument. Run in the commit's checkout.
        package var command: [String]
        package var stableInstances = 1
        package var canaryInstances = 1
        /// HTTP path that answers 2xx once the instance can serve.
        package var readyPath = "/healthz"
        package var readyWithin: Span = .seconds(30)
        /// From SIGTERM to SIGKILL.
        package var drain: Span = .seconds(30)
        package var environment: [String: String] = [:]
        /// The variable that receives the database URL with the arm's role.
        package var databaseVariable = "DATABASE_URL"
        package init(command: [String]) { self.command = command }
    }

    package struct Traffic: Hashable, Sendable, Codable {
        /// Where the embedded router listens: `host:port`.
        package var listen: String
        /// Longest wait for a version's first response byte.
        package var timeout: Span = .seconds(30)
        /// Where the router serves `/metrics` to whoever asks: `host:port`; nil: only on its control socket.
        package var metrics: String?
        package init(listen: String) { self.listen = listen }
    }

    /// Who meets the new version first, and how their number grows.
    package struct Cohort: Hashable, Sendable, Codable {
        /// The first key present in a request decides; a sticky choice. `[.request]`: each request by itself.
        package var by: [CohortKey] = [.cookie("session"), .header("X-User-Id"), .clientAddress]
        /// Requests with any of these header values go to the canary and are counted in neither arm.
        package var includeHeaders: [String: String] = [:]
        package var steps: [Step]
        package init(steps: [Step]) { self.steps = steps }
    }

    package enum CohortKey: Hashable, Sendable, Codable {
        case cookie(String)
        case header(String)
        case clientAddress
        case request
    }

    package enum Step: Hashable, Sendable, Codable {
        /// Serve `share` of the traffic for at least `span`, then be judged.
        case share(Share, for: Span)
        /// Wait for `perch promote`.
        case approve
    }

    package struct Database: Hashable, Sendable, Codable {
        /// What the service's stable instances are given.
        package var url: Secret
        /// What Perch connects with; needs the rights of docs/postgresql.md. Default: `url`.
        package var adminURL: Secret
        /// The login role of the canary's sessions; its writes are told apart by this role.
        package var canaryRole: String
        /// Password of the canary role; nil: the connection needs none.
        package var canaryPassword: Secret?
        package var snapshot: SnapshotMode = .dump
        /// WAL our slot may hold before the release is ended, in bytes.
        package var recordingBudgetBytes: Int64 = 10 << 30
        package var rollback = DataRollback()
        /// What stands between the service and the server.
        package var pgbouncer: PgBouncer?
        package init(url: Secret, adminURL: Secret, canaryRole: String) {
            self.url = url
            self.adminURL = adminURL
            self.canaryRole = canaryRole
        }
    }

    /// A pooler whose clients wait while the data is switched.
    package struct PgBouncer: Hashable, Sendable, Codable {
        /// Of its console: `postgres://admin@host:6432/pgbouncer`.
        package var adminURL: Secret
        /// As its configuration calls the service's database; nil: as PostgreSQL does.
        package var database: String?
        package init(adminURL: Secret) { self.adminURL = adminURL }
    }

    /// `dump`: a dump, which a rollback restores first. `clone`: also a second database from it, which stable's writes are
    /// merged into while the release runs, so that a rollback finds it ready.
    package enum SnapshotMode: String, Hashable, Sendable, Codable, CaseIterable { case dump, clone, none }

    package struct DataRollback: Hashable, Sendable, Codable {
        package var mode: Mode = .swap
        package var writes: Writes = .stable
        /// Longest time requests are held while the data is switched.
        package var freeze: Span = .seconds(10)
        /// After the switch: start fresh stable instances, or only wait until the running ones are ready again.
        package var reconnect: Reconnect = .restart
        /// How long the database as it was before the rollback is kept.
        package var keepBefore: Span = .hours(24 * 7)
        /// What a write of stable's that cannot be put together with the canary's comes to.
        package var merge: Conflicts = .nonconflict
        /// Whose a transaction of neither role is.
        package var unattributed: Unattributed = .stable
        /// What becomes of a row that only the canary had made once stable changes it.
        package var canaryRow: CanaryRow = .keep
        /// Table -> column -> what the column gets when both changed it. Tables by schema and name.
        package var columns: [String: [String: ColumnRule]] = [:]
        /// `auto` heals up to so many rows that differ.
        package var healLimit = 100_000
        /// What a rollback does when the canary changed the schema in a way that stable cannot live with.
        package var destructiveDDL: DestructiveDDL = .swap
        package init() {}

        package enum DestructiveDDL: String, Hashable, Sendable, Codable, CaseIterable { case swap, halt }

        /// `nonconflict`: live wins for the row or column in conflict, a person looks later. `nocascade`: the same, but the
        /// rollback waits for the person. `force`: the same, and nobody needs to look. `cascade`: stable's transaction is
        /// kept out as a whole, with those that build on it.
        package enum Conflicts: String, Hashable, Sendable, Codable, CaseIterable {
            case nonconflict, nocascade, force, cascade
        }
        /// `hold`: stable's, and every row of it is to be looked at.
        package enum Unattributed: String, Hashable, Sendable, Codable, CaseIterable { case stable, canary, hold }
        package enum CanaryRow: String, Hashable, Sendable, Codable, CaseIterable { case keep, drop }
        /// `overwrite`: stable's value. `add`: the value without the canary plus stable's difference. `hold`: stable's, and
        /// a person looks. `stamp`: stable's, not worth a line. `follow`: always live's.
        package enum ColumnRule: String, Hashable, Sendable, Codable, CaseIterable {
            case overwrite, add, hold, stamp, follow
        }

        /// `swap`: the clone takes the live database's place while requests are held. `heal`: the clone's rows are copied
        /// over those of live that differ, under load. `auto`: heal where that is sound, else swap. `keep`: the data stays
        /// as it is.
        package enum Mode: String, Hashable, Sendable, Codable, CaseIterable { case swap, heal, auto, keep }
        /// Whose recorded writes are replayed.
        package enum Writes: String, Hashable, Sendable, Codable, CaseIterable { case stable, all }
        package enum Reconnect: String, Hashable, Sendable, Codable, CaseIterable { case restart, probe }
    }

    package struct Promote: Hashable, Sendable, Codable {
        /// Stable instances replaced at the same time.
        package var maxParallel = 1
        /// All traffic is on the new version and watched for this long.
        package var bake: Span = .minutes(10)
        /// Snapshot and recording are kept for this long after baking, so `perch rollback` still works.
        package var undoWindow: Span = .minutes(30)
        package init() {}
    }

    package struct RollBack: Hashable, Sendable, Codable {
        /// false: a failed step halts the canary at share 0 and waits for a person.
        package var automatic = true
        package var deadline: Span = .minutes(10)
        package init() {}
    }

    package struct Trigger: Hashable, Sendable, Codable {
        /// Any of these signs a webhook; several at once while rotating.
        package var secrets: [Secret] = []
        /// What happens to a release that arrives while another is active.
        package var onNewer: OnNewer = .queue
        /// Branch of `push` and `workflow_run` events that trigger.
        package var branch = "main"
        /// Path of the workflow whose success triggers; nil: any.
        package var workflow: String?
        /// Environment of `deployment` events that trigger; nil: any.
        package var environment: String?
        /// GitHub events that trigger.
        package var events: [Event] = [.deployment, .workflowRun]
        package init() {}

        package enum Event: String, Hashable, Sendable, Codable, CaseIterable {
            case deployment, push
            case workflowRun = "workflow_run"
        }
    }

    package enum OnNewer: String, Hashable, Sendable, Codable, CaseIterable { case queue, supersede, reject }

    package struct Report: Hashable, Sendable, Codable {
        /// Lower-case header names whose values are never kept.
        package var redactHeaders = ["authorization", "cookie", "set-cookie", "proxy-authorization", "x-api-key"]
        /// Field names (JSON keys, form fields, columns) whose values are never kept.
        package var redactFields = ["password", "card", "token", "secret"]
        package init() {}
    }
}

/// Where a secret is found. The value itself never enters a policy, a fact or a log.
package enum Secret: Hashable, Sendable, Codable, CustomStringConvertible {
    /// `env:NAME`
    case environment(String)
    /// `file:PATH`
    case file(String)

    package var description: String {
        switch self {
        case .environment(let name): "env:\(name)"
        case .file(let path): "file:\(path)"
        }
    }
}
